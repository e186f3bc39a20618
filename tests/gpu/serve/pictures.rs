//! Pictures as uploaded files and as files of a folder, and responses that are continued.

use std::path::Path;

use serde_json::{Value, json};

use super::client::{Reply, Server, request};
use super::{CHAT, WANTED, said};

const RESPONSES: &str = "/v1/responses";
const GALLERY: &str = "www/models/demo/gallery";

fn upload(server: &Server, purpose: &str) -> Reply {
    let picture = std::fs::read(format!("{GALLERY}/scene-01.png")).expect("a picture");
    let head = format!(
        "--edge\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\n{purpose}\r\n--edge\r\n\
         content-disposition: form-data; name=\"file\"; filename=\"a.png\"\r\n\r\n"
    );
    let body = [head.as_bytes(), &picture, b"\r\n--edge--\r\n"].concat();
    server.exchange(&request("POST", "/v1/files", &["content-type: multipart/form-data; boundary=edge"], &body))
}

fn respond(server: &Server, content: Value) -> Reply {
    let content = [content, json!({"type": "input_text", "text": "Describe this image."})];
    server.post(
        RESPONSES,
        &json!({"input": [{"role": "user", "content": content}], "temperature": 0, "max_output_tokens": 60}),
    )
}

fn ask(server: &Server, picture: Value) -> Reply {
    let content = json!([picture, {"type": "text", "text": "Describe this image."}]);
    server.post(CHAT, &json!({"messages": [{"role": "user", "content": content}], "temperature": 0, "max_tokens": 60}))
}

fn text(reply: &Reply) -> Value {
    reply.json()["output"][0]["content"][0]["text"].clone()
}

#[test]
fn uploaded_pictures_are_shown_by_their_ids() {
    let server = Server::start(&["--host", "localhost"]);
    assert_eq!(upload(&server, "fine-tune").error(), (400, "invalid_value".into(), json!("purpose")));
    let file = upload(&server, "vision").json();
    assert_eq!(file["purpose"], "vision");
    assert_eq!(text(&respond(&server, json!({"type": "input_image", "file_id": file["id"]}))), WANTED);
    assert_eq!(text(&respond(&server, json!({"type": "input_file", "file_id": file["id"]}))), WANTED);
    assert_eq!(said(&ask(&server, json!({"type": "file", "file": {"file_id": file["id"]}}))), WANTED);
    let path = format!("/v1/files/{}", file["id"].as_str().expect("an id"));
    assert_eq!(server.exchange(&request("DELETE", &path, &[], b"")).status, 200);
    let field = json!("input[0].content[0].file_id");
    let gone = respond(&server, json!({"type": "input_image", "file_id": file["id"]}));
    assert_eq!(gone.error(), (400, "invalid_value".into(), field));
}

#[test]
fn only_files_of_the_media_folder_are_shown() {
    let server = Server::start(&["--media-path", GALLERY]);
    let show = |url: &str| ask(&server, json!({"type": "image_url", "image_url": {"url": url}}));
    let full = Path::new(GALLERY).canonicalize().expect("a folder");
    assert_eq!(said(&show("scene-01.png")), WANTED);
    assert_eq!(said(&show(&format!("file://{}/scene-01.png", full.display()))), WANTED);
    let field = "messages[0].content[0].image_url.url";
    for other in ["../model.json", "file:///etc/passwd", "/etc/passwd", "nothing.png", ".", "file:///%ff"] {
        let reply = show(other);
        assert_eq!(reply.error(), (400, "invalid_value".into(), json!(field)), "{other}");
        let message = format!("{field}: is no file in the folder of --media-path");
        assert_eq!(reply.json()["error"]["message"], message, "{other}");
    }
    assert_eq!(show("https://example.invalid/a.png").error().0, 400);
}

#[test]
fn responses_are_continued_read_and_deleted_over_http() {
    let server = Server::start(&[]);
    let file = upload(&server, "user_data").json();
    let first = respond(&server, json!({"type": "input_image", "file_id": file["id"]})).json();
    let more = json!({"input": "And?", "previous_response_id": first["id"], "temperature": 0, "max_output_tokens": 8, "stream": true});
    let streamed = server.post(RESPONSES, &more);
    assert!(
        streamed.body.contains("event: response.completed") || streamed.body.contains("event: response.incomplete")
    );
    let whole = server.post(RESPONSES, &super::with(more, json!({"stream": false}))).json();
    assert_eq!(whole["previous_response_id"], first["id"]);
    assert!(whole["usage"]["input_tokens_details"]["cached_tokens"].as_u64() > Some(60), "{whole}");
    let path = format!("{RESPONSES}/{}", first["id"].as_str().expect("an id"));
    assert_eq!(server.get(&path, &[]).json(), first);
    assert_eq!(server.exchange(&request("DELETE", &path, &[], b"")).json()["deleted"], true);
    assert_eq!(server.get(&path, &[]).error(), (404, "not_found".into(), Value::Null));
}
