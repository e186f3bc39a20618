//! The queue after panics of the engine's thread.

use std::ffi::OsString;
use std::sync::Arc;

use clap::Parser;
use ocelli::Error;
use ocelli::api::{Opened, Priority};
use ocelli::engine::RequestControl;

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

#[test]
fn a_panic_of_the_engine_fails_open_requests_alone_and_the_third_one_in_short_time_ends_the_server() {
    let package = PackagePath::from(OsString::from("www/models/demo"));
    let Memory { args } = Memory::parse_from(["test", "--device", "cpu", "--threads", "1"]);
    let engine = pollster::block_on(open::engine(&package, Some(256), &args)).expect("an engine");
    let (service, encoder) = (NameArgs::default().service(&engine, &package), engine.encoder().clone());
    let (jobs, queue) = queue(Arc::new(Monitor::new()), Pulse::new());
    let residents = Residents::new(1, vec![Box::new(jobs.clone())]);
    let answered = move |is_broken: bool| {
        let tokens = if is_broken { 200 } else { 2 };
        let body = format!(r#"{{"prompt": "Hello", "max_tokens": {tokens}, "logit_bias": {{"2": -100}}}}"#);
        let opened = service.open(("POST", "/v1/completions"), &body, api::stamp());
        let Ok(Opened::Work(work)) = opened else { panic!("no work") };
        let control = RequestControl::new();
        let prompts = work.encode(&encoder, &[], &control).expect("prompts");
        let (id, grammar, bill, memory) = (String::new(), None, None, None);
        let prepared = Prepared { id, work, prompts, grammar, control, bill, memory };
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
