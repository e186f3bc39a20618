//! Bounds of requests that are read and prepared.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::*;

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).build().expect("threads")
}

#[test]
fn a_panic_while_a_request_is_prepared_is_the_failure_of_this_request_alone() {
    let (runtime, places) = (runtime(), Places::new(1));
    let panic = || -> Result<()> { panic!("on order, at /srv/private") };
    // The second one is that of a batch.
    for panicked in [runtime.block_on(places.elsewhere(panic)), places.here(panic)] {
        let reply = Reply::from(&panicked.expect_err("a panic"));
        assert_eq!(reply.status, 500);
        assert!(!reply.body.contains("private"), "{}", reply.body);
    }
    // Its place is free again.
    assert_eq!(runtime.block_on(places.elsewhere(|| Ok(3))), Ok(3));
    assert_eq!(places.here(|| Ok(4)), Ok(4));
}

#[test]
fn work_of_a_lane_takes_as_many_cores_as_it_has_places() {
    for cores in [1, 2, 8] {
        let places = |lane: Lane| Lane::places(lane as usize, cores);
        assert_eq!((places(Lane::Text), places(Lane::Documents), places(Lane::Pages)), (cores, 4, 1));
        let slow = [Lane::Large, Lane::Pictures, Lane::Formats].map(places);
        assert_eq!(slow, [if cores == 1 { 1 } else { cores - 1 }; 3]);
    }
    let (runtime, places) = (runtime(), Places::new(3));
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let tasks: Vec<_> = (0..30)
        .map(|_| {
            let (places, now, most) = (places.clone(), now.clone(), most.clone());
            let work = move || {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(5));
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            };
            runtime.spawn(async move { places.elsewhere(work).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(runtime.block_on(task).expect("no panic"), Ok(()));
    }
    assert!((1..=3).contains(&most.load(Ordering::SeqCst)), "{most:?} at once");
}

#[test]
fn work_waits_in_the_order_of_its_arrival_and_work_whose_client_left_is_not_done() {
    let (runtime, places) = (runtime(), Places::new(1));
    let (open, closed) = channel::<()>();
    let (begun, has_begun) = channel();
    let first = places.clone();
    let first = runtime.spawn(async move {
        let work = move || {
            let _ = begun.send(());
            let _ = closed.recv();
            Ok(())
        };
        first.elsewhere(work).await
    });
    has_begun.recv().expect("the place is taken");
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut tasks: Vec<_> = (0..6)
        .map(|number| {
            let (places, order, (arrived, has_arrived)) = (places.clone(), order.clone(), channel());
            let task = runtime.spawn(async move {
                let mut waiting = Box::pin(places.elsewhere(move || {
                    order.lock().expect("numbers").push(number);
                    Ok(())
                }));
                // The first poll enters the queue.
                assert!(futures_util::poll!(&mut waiting).is_pending());
                let _ = arrived.send(());
                waiting.await
            });
            has_arrived.recv().expect("it waits");
            task
        })
        .collect();
    // The client of the third one leaves.
    let left = tasks.remove(2);
    left.abort();
    assert!(runtime.block_on(left).expect_err("it was aborted").is_cancelled());
    open.send(()).expect("the first one waits");
    for task in tasks.into_iter().chain([first]) {
        assert_eq!(runtime.block_on(task).expect("no panic"), Ok(()));
    }
    assert_eq!(*order.lock().expect("numbers"), [0, 1, 3, 4, 5]);
}

#[test]
fn a_client_that_leaves_cancels_the_request_that_is_prepared_for_it() {
    let control = RequestControl::new();
    drop(Leaving::new(&control));
    assert_eq!(control.check(), Err(Error::Aborted));
    let control = RequestControl::new();
    Leaving::new(&control).submitted();
    assert_eq!(control.check(), Ok(()));
}

#[test]
fn memory_of_all_requests_is_bounded_and_returned() {
    let room = Room::new(10 * UNIT);
    let [mut one, mut other] = [None, None];
    assert!(room.grow(&mut one, 3 * UNIT).is_ok() && room.grow(&mut one, 3 * UNIT).is_ok());
    let full = room.grow(&mut other, 5 * UNIT).expect_err("there are four units");
    assert_eq!(full.status, 429);
    assert!(other.is_none() && room.grow(&mut other, 4 * UNIT).is_ok());
    drop(one);
    assert!(room.grow(&mut other, 6 * UNIT).is_ok() && room.grow(&mut other, 1).is_err());
    drop(other);
    assert!(room.grow(&mut None, usize::MAX).is_err() && room.grow(&mut None, 10 * UNIT).is_ok());
}

#[test]
fn pages_of_documents_have_their_lane_however_they_are_named() {
    assert_eq!(Lane::of_body(r#"{"file_data": "data:application/pdf;base64,"}"#), Lane::Documents);
    assert_eq!((Lane::of_body("short"), Lane::of_body(&"x".repeat(SMALL + 1))), (Lane::Text, Lane::Large));
    assert_eq!(Lane::of_parts(&[], false, Lane::Large), Lane::Large);
    assert_eq!(Lane::of_parts(&["a.png"], true, Lane::Text), Lane::Formats);
    assert_eq!(Lane::of_parts(&["a.pdf"], true, Lane::Text), Lane::Documents);
    for (name, is_page) in [
        ("a.pdf", true),
        ("file:///srv/A.PDF#page=3", true),
        ("a.png#page=2", false),
        ("pdf", false),
        ("data:image/png;base64,a.pdf", false),
    ] {
        let lane = Lane::of_parts(&["a.png", name], false, Lane::Text);
        assert_eq!(lane, if is_page { Lane::Documents } else { Lane::Pictures }, "{name}");
    }
}
