//! The queue after panics of the engine's thread, and without a loaded model.

use std::cell::Cell;
use std::ffi::OsString;
use std::sync::Arc;

use clap::Parser;
use ocelli::Error;
use ocelli::api::{Opened, Priority, Service};
use ocelli::engine::{Encoder, Engine, RequestControl};

use super::panics;
use super::*;
use crate::shared::api::{self, NameArgs};
use crate::shared::args::MemoryArgs;
use crate::shared::models::PackagePath;
use crate::shared::open;

#[derive(Parser)]
struct Memory {
    #[command(flatten)]
    args: MemoryArgs,
}

/// The demo model on the processor.
fn demo() -> (PackagePath, Engine) {
    let package = PackagePath::from(OsString::from("www/models/demo"));
    let Memory { args } = Memory::parse_from(["test", "--device", "cpu", "--threads", "1"]);
    let engine = pollster::block_on(open::engine(&package, Some(256), &args)).expect("an engine");
    (package, engine)
}

/// A request for a text of so many tokens.
fn request(service: &Service, encoder: &Encoder, tokens: usize) -> Prepared {
    let body = format!(r#"{{"prompt": "Hello", "max_tokens": {tokens}, "logit_bias": {{"2": -100}}}}"#);
    let opened = service.open(("POST", "/v1/completions"), &body, api::stamp());
    let Ok(Opened::Work(work)) = opened else { panic!("no work") };
    let control = RequestControl::new();
    let prompts = work.encode(encoder, &[], &control).expect("prompts");
    Prepared { id: String::new(), work, prompts, grammar: None, control, bill: None, memory: None }
}

#[test]
fn no_model_is_loaded_for_a_request_whose_client_has_left() {
    let (package, engine) = demo();
    let (service, encoder) = (NameArgs::default().service(&engine, &package), engine.encoder().clone());
    for (has_left, expected) in [(true, 0), (false, 1)] {
        let (jobs, queue) = queue(Arc::new(Monitor::new()), Pulse::new());
        let residents = Residents::new(1, vec![Box::new(jobs.clone())]);
        let reader = jobs.submit(request(&service, &encoder, 2), Priority::Person);
        let stays = reader.filter(|_| !has_left);
        let client = std::thread::spawn(move || {
            stays.into_iter().for_each(|reader| drop(pollster::block_on(reader.whole())));
            jobs.stop();
        });
        let loads = Cell::new(0);
        let open = |_: &dyn Fn()| {
            loads.set(loads.get() + 1);
            Err(Error::Aborted)
        };
        let loading = Loading { idle: None, open: &open, residents: &residents, model: 0, name: "demo" };
        assert_eq!(queue.work(None, &loading), Ok(()));
        client.join().expect("no panic");
        assert_eq!(loads.get(), expected, "has left: {has_left}");
    }
}

#[test]
fn a_panic_of_the_engine_fails_open_requests_alone_and_the_third_one_in_short_time_ends_the_server() {
    let (package, engine) = demo();
    let (service, encoder) = (NameArgs::default().service(&engine, &package), engine.encoder().clone());
    let (jobs, queue) = queue(Arc::new(Monitor::new()), Pulse::new());
    let residents = Residents::new(1, vec![Box::new(jobs.clone())]);
    let answered = move |is_broken: bool| {
        let tokens = if is_broken { 200 } else { 2 };
        let prepared = request(&service, &encoder, tokens);
        let reader = jobs.submit(prepared, Priority::Person);
        if is_broken {
            jobs.panic();
        }
        reader.map(|reader| pollster::block_on(reader.whole()).map_err(|error| error.code()))
    };
    let client = std::thread::spawn(move || {
        for _ in 1..panics::MOST {
            assert_eq!(answered(true), Some(Err("internal")));
            assert!(matches!(answered(false), Some(Ok(_))), "the server does not continue");
        }
        assert_eq!(answered(true), Some(Err("internal")));
        answered(false)
    });
    let loading = Loading { idle: None, open: &|_| Err(Error::Aborted), residents: &residents, model: 0, name: "demo" };
    let ended = queue.work(Some(engine), &loading);
    assert_eq!(ended, Err(Error::Internal { detail: "the engine has panicked 3 times within 10 minutes".into() }));
    // The process ends; what comes before that gets an error too.
    assert!(matches!(client.join().expect("no panic"), None | Some(Err("internal"))));
}
