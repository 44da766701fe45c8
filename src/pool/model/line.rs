//! The permit line: hand-over, leaving, resize.

use loom::sync::Arc;
use loom::thread;

use super::book::{Answer, Balance, Book, Turn};
use super::check;

/// Settles grants by giving the permits straight back, as holders do in the end.
fn give_all(book: &Book<u32>, count: usize) -> usize {
    let mut served = 0;
    let mut grants = book.give(count);
    while let Some((_, granted)) = grants.pop() {
        served += 1;
        grants.extend(book.give(granted));
    }
    served
}

fn ask(book: &Book<u32>, turn: Turn, want: usize, who: u32) -> (usize, Option<u64>) {
    match book.ask(turn, want, who) {
        Answer::Granted(_, count) => (1 + give_all(book, count), None),
        Answer::InLine(number) => (0, Some(number)),
    }
}

#[test]
fn every_wish_is_served_once_and_all_permits_come_back() {
    check(3, || {
        let book = Arc::new(Book::new(2));
        assert!(book.try_take(2));
        let threads: Vec<_> = [(Turn::New, 2), (Turn::Returning, 1)]
            .into_iter()
            .map(|(turn, want)| {
                let book = Arc::clone(&book);
                thread::spawn(move || ask(&book, turn, want, 0).0)
            })
            .collect();
        let mut served = give_all(&book, 2);
        for thread in threads {
            served += thread.join().expect("a thread");
        }
        assert_eq!(served, 2, "a wish was lost");
        assert_eq!(book.balance(), Balance { free: 2, waiters: 0 });
    });
}

#[test]
fn leaving_against_the_grant_leaves_one_owner() {
    check(3, || {
        let book = Arc::new(Book::new(1));
        assert!(book.try_take(1));
        let Answer::InLine(number) = book.ask(Turn::New, 1, 0) else { panic!("nothing is free") };
        let giver = thread::spawn({
            let book = Arc::clone(&book);
            move || book.give(1).len()
        });
        let (removed, grants) = book.leave(number);
        assert!(grants.is_empty());
        let granted = giver.join().expect("the giver");
        assert_eq!(usize::from(removed) + granted, 1, "granted and gone, or neither");
        if granted == 1 {
            assert_eq!(give_all(&book, 1), 0);
        }
        assert_eq!(book.balance(), Balance { free: 1, waiters: 0 });
    });
}

#[test]
fn a_resize_against_holders_and_waiters_loses_no_permit() {
    check(3, || {
        let book = Arc::new(Book::new(2));
        assert!(book.try_take(2));
        let asker = thread::spawn({
            let book = Arc::clone(&book);
            move || ask(&book, Turn::New, 2, 0).0
        });
        let sizer = thread::spawn({
            let book = Arc::clone(&book);
            move || {
                let mut served = 0;
                for size in [1, 3] {
                    for (_, granted) in book.resize(size) {
                        served += 1 + give_all(&book, granted);
                    }
                }
                served
            }
        });
        let mut served = give_all(&book, 2);
        served += asker.join().expect("the asker");
        served += sizer.join().expect("the sizer");
        assert_eq!(served, 1, "the wish was lost");
        assert_eq!(book.balance(), Balance { free: 3, waiters: 0 });
    });
}

#[test]
fn a_forced_charge_against_a_give_is_made_up_for() {
    check(3, || {
        let book = Arc::new(Book::<u32>::new(1));
        assert!(book.try_take(1));
        let watch = thread::spawn({
            let book = Arc::clone(&book);
            move || {
                book.charge(1);
                assert!(book.give(1).is_empty());
            }
        });
        let took = book.try_take(1);
        assert!(book.give(1 + usize::from(took)).is_empty());
        watch.join().expect("the watch");
        assert_eq!(book.balance(), Balance { free: 1, waiters: 0 });
    });
}
