//! Named jobs of a file, typed on the real command line.

use crate::cli::{User, err, out};

const FILE: &str = "\
[defaults]
priority = 2

[jobs.report]
shell = 'cat data > report'
after = ['fetch', 'any:lint']

[jobs.fetch]
shell = 'echo 42 > data'
timeout = 60

[jobs.lint]
argv = ['false']

[jobs.alarm]
argv = ['touch', 'alarm']
after = ['fail:lint']

[jobs.praise]
argv = ['touch', 'praise']
after = ['lint']
";

fn write(user: &User, text: &str) {
    std::fs::write(user.home().join("p.toml"), text).unwrap();
}

#[test]
fn a_pipeline_runs_in_the_order_that_its_jobs_require() {
    let user = User::new();
    write(&user, FILE);
    assert_eq!(user.out(&["apply", "p.toml", "--dry-run"]).lines().count(), 5);
    let output = user.run(&["apply", "p.toml"]);
    assert_eq!(out(&output), "1\n2\n3\n4\n5\n", "{}", err(&output));
    assert!(err(&output).contains("job 1 is report"), "{}", err(&output));
    assert_eq!(user.code(&["wait", "last"]), Some(1));
    let codes = [(1, 0), (2, 0), (3, 1), (4, 0), (5, 122)];
    for (id, code) in codes {
        assert_eq!(user.code(&["wait", &id.to_string()]), Some(code), "job {id}");
    }
    assert_eq!(std::fs::read_to_string(user.home().join("report")).unwrap(), "42\n");
    let graph = user.out(&["show", "--graph", "1"]);
    let expected = "\
2 fetch  succeeded
3 lint  failed 1
├─ 1 report  succeeded  after ok:2, any:3
├─ 4 alarm  succeeded  after fail:3
└─ 5 praise  skipped  after ok:3 (lost)
";
    assert_eq!(graph, expected);
    let graph = user.json(&["show", "--graph", "5", "--json"]);
    assert_eq!(graph["nodes"].as_array().map(Vec::len), Some(5));
    assert_eq!(graph["edges"][3]["standing"], "lost");
    let reply = user.json(&["apply", "p.toml", "--json"]);
    assert_eq!((&reply["jobs"]["report"], &reply["ids"][4]), (&6.into(), &10.into()));
}

#[test]
fn a_pipeline_that_is_wrong_somewhere_is_refused_as_a_whole_with_the_line() {
    let user = User::new();
    let circle = FILE.replace("[jobs.fetch]", "[jobs.fetch]\nafter = 'alarm'");
    let circle = circle.replace("argv = ['false']", "argv = ['false']\nafter = 'report'");
    for (text, code, told) in [
        (FILE.replace("'fetch',", "'fecth',"), 2, "p.toml:6: job \"report\""),
        (FILE.replace("timeout = 60", "timeuot = 60"), 2, "p.toml:10: unknown field"),
        (FILE.replace("timeout = 60", "timeout = 'soon'"), 121, "p.toml:10: "),
        (FILE.replace("timeout = 60", "queue = 'nowhere'"), 121, "p.toml:10: unknown queue"),
        (circle, 121, "report -> fetch -> alarm -> lint -> report"),
    ] {
        write(&user, &text);
        let output = user.run(&["apply", "p.toml"]);
        assert_eq!(output.status.code(), Some(code), "{}", err(&output));
        assert!(err(&output).contains(told), "{} should say {told}", err(&output));
    }
    assert_eq!(user.json(&["list", "--all", "--json"]), serde_json::json!([]));
}
