//! Tools for agents at `/mcp`: the limits of all requests hold there too.

use serde_json::{Value, json};

use super::client::{Reply, Server, post};
use super::hostile::large_picture;
use super::{CHAT, base64, endless};

const TOOLS: &str = "/mcp";

/// A session of an agent.
struct Agent<'a> {
    server: &'a Server,
    session: String,
}

fn send(server: &Server, session: Option<&str>, message: &Value) -> Reply {
    let session = session.map(|session| format!("mcp-session-id: {session}"));
    let headers: Vec<&str> =
        ["accept: application/json, text/event-stream"].into_iter().chain(session.as_deref()).collect();
    server.exchange(&post(TOOLS, &headers, message.to_string().as_bytes()))
}

impl<'a> Agent<'a> {
    fn new(server: &'a Server) -> Self {
        let about = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}});
        let begun = send(server, None, &json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": about}));
        let session = begun.header("mcp-session-id").unwrap_or_else(|| panic!("{begun:?}")).to_owned();
        let told = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(send(server, Some(&session), &told).status, 202);
        Self { server, session }
    }

    /// The text of a call that fails.
    fn refusal(&self, tool: &str, arguments: &Value) -> String {
        let params = json!({"name": tool, "arguments": arguments});
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
        let reply = send(self.server, Some(&self.session), &call);
        let messages = reply.events().filter_map(|event| serde_json::from_str::<Value>(event).ok());
        let result = messages.filter(|message| message["id"] == 1).last().unwrap_or_else(|| panic!("{reply:?}"));
        assert_eq!(result["result"]["isError"], true, "{result}");
        result["result"]["content"][0]["text"].as_str().expect("a text").to_owned()
    }
}

#[test]
fn tools_have_the_limits_of_all_requests() {
    let server = Server::start(&[]);
    let agent = Agent::new(&server);
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
