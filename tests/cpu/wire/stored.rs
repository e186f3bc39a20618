//! Responses that later requests continue, refer to, read and delete.

use ocelli::api::{Opened, Priority, Run, Scheduler, Service, Stamp};
use ocelli::{Error, Result};
use serde_json::{Value, json};

use super::desk::{Desk, Heard};
use super::{FakeEngine, RESPONSES, answer, fake, service_of};

/// A platform that stores responses.
struct Platform {
    engine: FakeEngine,
    service: Service,
    requests: usize,
}

impl Platform {
    fn new() -> Self {
        let engine = fake();
        Self { service: service_of(&engine), engine, requests: 0 }
    }

    fn open(&mut self, owner: &str, request: (&str, &str), body: &Value) -> Result<Opened> {
        self.requests += 1;
        let stamp = Stamp { id: self.requests.to_string(), created: 1, seed: 5, owner: Some(owner.into()) };
        self.service.open(request, &body.to_string(), stamp)
    }

    /// The response to a request of an owner.
    fn respond(&mut self, owner: &str, more: &Value) -> Result<Value> {
        let body = super::with(json!({"temperature": 0, "max_output_tokens": 4}), more);
        let Opened::Work(work) = self.open(owner, ("POST", RESPONSES), &body)? else { panic!("no work") };
        let (mut desk, client) = (Desk::default(), Heard::default());
        desk.submit(Box::new(Run::new(work, Vec::new())), Priority::Person, &client, 0);
        let mut scheduler = Scheduler::new(desk);
        loop {
            pollster::block_on(scheduler.run(&mut self.engine));
            if let Some(outcome) = client.borrow_mut().outcome.take() {
                return outcome.map(|text| serde_json::from_str(&text).expect("JSON"));
            }
            client.borrow_mut().read_all();
        }
    }

    fn stored(&mut self, owner: &str, method: &str, id: &Value) -> Result<Value> {
        let path = format!("{RESPONSES}/{}", id.as_str().expect("an id"));
        match self.open(owner, (method, &path), &Value::Null)? {
            Opened::Ready(body) => Ok(serde_json::from_str(&body).expect("JSON")),
            Opened::Work(_) => panic!("work"),
        }
    }
}

fn field(error: &Error) -> &str {
    match error {
        Error::InvalidRequest { field, .. } | Error::UnsupportedOption { field, .. } => field,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_response_continues_an_earlier_one_as_if_all_was_sent() {
    let mut platform = Platform::new();
    let first = platform.respond("ann", &json!({"input": "Hello", "instructions": "Be brief."})).unwrap();
    assert_eq!((&first["store"], &first["previous_response_id"]), (&json!(true), &Value::Null));
    let second = platform.respond("ann", &json!({"input": "And?", "previous_response_id": first["id"]})).unwrap();
    assert_eq!(second["previous_response_id"], first["id"]);
    let third =
        json!({"input": [{"role": "user", "content": "So?"}], "previous_response_id": second["id"], "stream": true});
    let third = platform.respond("ann", &third).unwrap();
    // Instructions are those of each request.
    let user = |text: &str| json!({"role": "user", "content": text});
    let items = [user("Hello"), first["output"][0].clone(), user("And?"), second["output"][0].clone(), user("So?")];
    let all = json!({"input": items, "temperature": 0, "max_output_tokens": 4});
    let (whole, _) = answer(&mut fake(), RESPONSES, &all).unwrap();
    assert_eq!(third["output"][0]["content"], whole["output"][0]["content"]);
    assert_eq!(third["usage"]["input_tokens"], whole["usage"]["input_tokens"]);
    assert_eq!((&whole["store"], &whole["id"]), (&json!(false), &json!("resp_1")), "nothing is stored for nobody");
}

#[test]
fn items_of_earlier_responses_are_found_by_their_ids() {
    let mut platform = Platform::new();
    let first = platform.respond("ann", &json!({"input": "Hello"})).unwrap();
    let reference = json!({"type": "item_reference", "id": first["output"][0]["id"]});
    let user = |text: &str| json!({"role": "user", "content": text});
    let by_id = platform.respond("ann", &json!({"input": [user("Hello"), reference, user("And?")]})).unwrap();
    let by_value = json!({"input": [user("Hello"), first["output"][0], user("And?")]});
    assert_eq!(by_id["output"][0]["content"], platform.respond("ann", &by_value).unwrap()["output"][0]["content"]);
    let error = platform.respond("bob", &json!({"input": [user("Hello"), reference]})).unwrap_err();
    assert_eq!(field(&error), "input[1].id");
    let unknown = json!({"type": "item_reference", "id": "msg_9", "role": "user"});
    assert_eq!(field(&platform.respond("ann", &json!({"input": [unknown]})).unwrap_err()), "input[0].role");
}

/// Platforms count these bytes in the memory of all requests.
#[test]
fn work_tells_the_bytes_of_the_stored_items_that_it_repeats() {
    let mut platform = Platform::new();
    let first = platform.respond("ann", &json!({"input": "Hello ".repeat(20)})).unwrap();
    let mut stored = |more: Value| {
        // Counting tokens repeats them, too.
        let [whole, counted] = [RESPONSES, "/v1/responses/input_tokens"].map(|path| {
            match platform.open("ann", ("POST", path), &more).expect("a request") {
                Opened::Work(work) => work.stored_bytes,
                Opened::Ready(body) => panic!("{body}"),
            }
        });
        assert_eq!(whole, counted);
        whole
    };
    assert_eq!(stored(json!({"input": "Hello ".repeat(20)})), 0);
    let continued = stored(json!({"input": "And?", "previous_response_id": first["id"]}));
    assert!(continued >= 120, "{continued}");
    let reference = json!({"type": "item_reference", "id": first["output"][0]["id"]});
    let one = stored(json!({"input": [reference]}));
    assert!(one > 0 && one < continued);
    assert_eq!(stored(json!({"input": [reference, reference, reference]})), 3 * one);
}

#[test]
fn responses_are_read_and_deleted_by_their_owner_only() {
    let mut platform = Platform::new();
    let kept = platform.respond("ann", &json!({"input": "Hello"})).unwrap();
    let not_kept = platform.respond("ann", &json!({"input": "Hello", "store": false})).unwrap();
    assert_eq!(not_kept["store"], false);
    assert_eq!(platform.stored("ann", "GET", &kept["id"]).unwrap(), kept);
    let no_such = |outcome: Result<Value>| assert!(matches!(outcome, Err(Error::NoSuchObject { .. })), "{outcome:?}");
    no_such(platform.stored("ann", "GET", &not_kept["id"]));
    no_such(platform.stored("bob", "GET", &kept["id"]));
    no_such(platform.stored("bob", "DELETE", &kept["id"]));
    let continued = json!({"input": "And?", "previous_response_id": kept["id"]});
    assert_eq!(field(&platform.respond("bob", &continued).unwrap_err()), "previous_response_id");
    let deleted = platform.stored("ann", "DELETE", &kept["id"]).unwrap();
    assert_eq!(deleted, json!({"id": kept["id"], "object": "response", "deleted": true}));
    no_such(platform.stored("ann", "GET", &kept["id"]));
    assert_eq!(field(&platform.respond("ann", &continued).unwrap_err()), "previous_response_id");
    assert!(matches!(platform.stored("ann", "PUT", &kept["id"]), Err(Error::WrongMethod { .. })));
}
