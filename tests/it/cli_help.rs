//! What the command line says about itself and about misuse, word by word.

#[test]
fn help_and_usage_errors_read_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let cases = trycmd::TestCases::new();
    // Nothing of the machine shows: no daemon, no terminal, no colours.
    cases
        .env("HOME", folder.path().to_string_lossy())
        .env("XDG_RUNTIME_DIR", "/nonexistent/run")
        .env("XDG_STATE_HOME", "/nonexistent/state")
        .env("TWOLANE_SOCKET", "/nonexistent/twolane.sock")
        .env("NO_COLOR", "1")
        .case("tests/cli/*.trycmd");
    cases.run();
}
