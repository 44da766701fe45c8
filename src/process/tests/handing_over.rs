//! Children that another image of the program goes on with. Here it is the same image, with other threads.

use super::*;
use crate::process::Status;

#[tokio::test]
async fn the_next_image_takes_the_end_of_a_child_that_the_last_one_left() {
    let last = start();
    let (keep, release) = std::io::pipe().unwrap();
    let launch = Launch { stdin: Stdin::Fd(keep.into()), ..shell("read line; exit 8") };
    let child = within(last.spawn(launch)).await.unwrap();
    last.hold_ends();
    drop(release);
    let bequest = child.bequeath().unwrap();
    let (_next, mut inherited) = Processes::start_with(Options::default(), vec![bequest]).unwrap();
    let exit = within(inherited.remove(0).unwrap().exited()).await;
    assert_eq!(exit.status, Status::Code(8));
    assert!(child.exit().is_none(), "the last one left it alone");
}

#[tokio::test]
async fn ends_that_were_left_are_taken_when_nobody_else_does() {
    let processes = start();
    let (keep, release) = std::io::pipe().unwrap();
    let launch = Launch { stdin: Stdin::Fd(keep.into()), ..shell("read line; exit 9") };
    let child = within(processes.spawn(launch)).await.unwrap();
    processes.hold_ends();
    // This one ends for certain while ends are left, and is seen to be over by the kernel's word alone.
    let other = within(processes.spawn(launch_of_true())).await.unwrap();
    let pid = rustix::process::Pid::from_raw(other.pid()).unwrap();
    let over = move || {
        use rustix::process::{WaitId, WaitIdOptions, waitid};
        waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
    };
    within(tokio::task::spawn_blocking(over)).await.unwrap().unwrap();
    assert!(other.exit().is_none() && other.bequeath().is_some());
    processes.release_ends();
    drop(release);
    assert_eq!(within(other.exited()).await.status, Status::Code(0));
    assert_eq!(within(child.exited()).await.status, Status::Code(9));
    assert!(child.bequeath().is_none(), "it is over");
}

fn launch_of_true() -> Launch {
    launch(&["true"])
}

#[tokio::test]
async fn a_process_that_is_no_child_or_another_one_by_now_is_not_taken_over() {
    let last = start();
    let child = within(last.spawn(launch(&["sleep", "600"]))).await.unwrap();
    let bequest = child.bequeath().unwrap();
    let other = Bequest { start_time: bequest.start_time + 1, ..bequest.clone() };
    let parent = rustix::process::getppid().unwrap().as_raw_nonzero().get();
    let stranger = Bequest { pid: parent, ..bequest };
    let (_next, inherited) =
        Processes::start_with(Options::default(), vec![other, stranger]).unwrap();
    assert!(inherited.iter().all(Option::is_none), "{inherited:?}");
    child.end_tree(Signal::KILL).unwrap();
    within(child.exited()).await;
}
