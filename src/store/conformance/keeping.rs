//! What goes and what stays.

use super::*;

pub(super) fn only_finished_jobs_are_removed(home: &mut dyn Home) {
    let (mut store, recovery) = home.open(now(0, 0), "boot");
    let spec = new_job(1).spec;
    let jobs: Vec<_> = (1..=4).map(|n| NewJob { spec: Arc::clone(&spec), ..new_job(n) }).collect();
    take(&mut *store, &[submit(&jobs), start(1, 1, token(&recovery, 1))]);
    take(&mut *store, &[end(1, token(&recovery, 1), Outcome::Succeeded)]);
    take(&mut *store, &[go(2, State::Queued, State::Cancelled)]);
    let refusal = refuse(&mut *store, Change::Removed { jobs: vec![id(1), id(3)] });
    assert!(matches!(&refusal, Refusal::Invariant(text) if text.contains("job 3")), "{refusal}");
    take(&mut *store, &[Change::Removed { jobs: vec![id(1), id(77), id(2), id(1)] }]);
    let mut reader = store.reader().unwrap();
    assert_eq!(reading::ids(&mut *reader, &Filter::default()), [3, 4]);
    assert!(reader.job(id(1)).unwrap().is_none());
    assert_eq!(reader.counts().unwrap(), [("default".to_owned(), State::Queued, 2)]);
    assert_eq!(reader.specs(&[id(1), id(3)]).unwrap().len(), 1);
}

pub(super) fn queues_are_kept_while_used(home: &mut dyn Home) {
    let (mut store, _) = home.open(now(0, 0), "boot");
    let rate = "100/90s".parse().ok();
    let gpu = QueueRecord { max: Some(1), paused: true, rate, ..QueueRecord::named("gpu") };
    let weightless = QueueRecord { weight: 0, ..gpu.clone() };
    take(
        &mut *store,
        &[Change::QueueSet(QueueRecord::named("gpu")), Change::QueueSet(gpu.clone())],
    );
    take(&mut *store, &[Change::QueueSet(QueueRecord::named("a"))]);
    assert!(matches!(refuse(&mut *store, Change::QueueSet(weightless)), Refusal::Invariant(_)));
    let remove = |name: &str| Change::QueueRemoved { name: name.to_owned() };
    assert_eq!(refuse(&mut *store, remove("b")), Refusal::NoSuchQueue("b".to_owned()));
    let answers = store.commit(&[submit(&[named(1, "x", "gpu")]), remove("gpu")]).unwrap();
    assert_eq!(answers[1], Err(Refusal::QueueInUse("gpu".to_owned())));
    drop(store);
    let (mut store, recovery) = home.open(now(0, 0), "boot");
    assert_eq!(recovery.queues, [QueueRecord::named("a"), gpu]);
    take(&mut *store, &[go(1, State::Queued, State::Cancelled), remove("gpu")]);
    drop(store);
    assert_eq!(home.open(now(0, 0), "boot").1.queues, [QueueRecord::named("a")]);
}
