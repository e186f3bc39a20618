//! Tools for agents at `/mcp`: the limits of all requests hold there too.

use serde_json::{Value, json};

use super::client::{Reply, Server, post};
use super::hostile::large_picture;
use super::{CHAT, base64, endless};

const TOOLS: &str = "/mcp";

/// A session of an agent.
pub(super) struct Agent<'a> {
    server: &'a Server,
    /// A header with the session, and one with a key.
    headers: [String; 2],
}

fn send(server: &Server, headers: &[String], message: &Value) -> Reply {
    let accepted = ["accept: application/json, text/event-stream"];
    let headers: Vec<&str> = accepted.into_iter().chain(headers.iter().map(String::as_str)).collect();
    server.exchange(&post(TOOLS, &headers, message.to_string().as_bytes()))
}

impl<'a> Agent<'a> {
    /// Begins a session, with a header that has a key.
    pub(super) fn with(server: &'a Server, key: &str) -> Self {
        let about = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}});
        let begun = send(
            server,
            &[key.to_owned()],
            &json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": about}),
        );
        let session = begun.header("mcp-session-id").unwrap_or_else(|| panic!("{begun:?}"));
        let headers = [format!("mcp-session-id: {session}"), key.to_owned()];
        let told = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(send(server, &headers, &told).status, 202);
        Self { server, headers }
    }

    /// The result of a call.
    fn call(&self, tool: &str, arguments: &Value) -> Value {
        let params = json!({"name": tool, "arguments": arguments});
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let reply = send(self.server, &self.headers, &call);
        let messages = reply.events().filter_map(|event| serde_json::from_str::<Value>(event).ok());
        messages.filter(|message| message["id"] == 1).last().unwrap_or_else(|| panic!("{reply:?}"))["result"].clone()
    }

    /// The text of a call that succeeds.
    pub(super) fn told(&self, tool: &str, arguments: &Value) -> String {
        let result = self.call(tool, arguments);
        assert_ne!(result["isError"], true, "{result}");
        result["content"][0]["text"].as_str().expect("a text").to_owned()
    }

    /// The text of a call that fails.
    fn refusal(&self, tool: &str, arguments: &Value) -> String {
        let result = self.call(tool, arguments);
        assert_eq!(result["isError"], true, "{result}");
        result["content"][0]["text"].as_str().expect("a text").to_owned()
    }
}

#[test]
fn tools_have_the_limits_of_all_requests() {
    let server = Server::start(&[]);
    let agent = Agent::with(&server, "x-no-key: 1");
    let url = |file: &[u8]| format!("data:image/png;base64,{}", base64(file));
    let large = large_picture();
    // Equal pictures count once.
    let pictures: Vec<String> = (0..5_u8).map(|number| url(&[&large[..], &[number]].concat())).collect();
    let told = agent.refusal("compare", &json!({"images": pictures}));
    assert!(told.contains("500 megapixels together"), "{told}");
    let image = url(&std::fs::read("www/models/demo/gallery/scene-01.png").expect("a picture"));
    let pattern = json!({"properties": {"a": {"type": "string", "pattern": "^((a{1000}){1000}){1000}$"}}});
    let told = agent.refusal("extract", &json!({"image": image, "schema": pattern}));
    assert!(told.contains("pattern"), "{told}");
    let told = agent.refusal("describe", &json!({"image": image, "question": "a".repeat(20 << 20)}));
    assert!(told.contains("context"), "{told}");
    let refused = server.exchange(&post(TOOLS, &[], &vec![b' '; (64 << 20) + 1]));
    assert_eq!(refused.status, 413, "{refused:?}");
    assert_eq!(server.post(CHAT, &endless(3, json!({}))).status, 200);
}
