//! The page that `ocelli serve` sends: files that the build has put into the command, compressed. No path reaches the file system.

use std::collections::HashMap;
use std::io::Read;

use flate2::read::GzDecoder;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue,
    IF_NONE_MATCH, VARY,
};
use hyper::{Method, Response, StatusCode};
use serde::Deserialize;

pub(crate) mod link;

/// The page of this build, as `www/pack.mjs` writes it; empty for a build without one.
static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/page.pack"));

/// The answer at `/` of a build without a page.
const MISSING: &str = "This build of Ocelli answers requests under /v1 and has no page.\n\
    A build with the page: ./build.sh command\n";

/// A line of JSON at the beginning of the pack: its files in their order.
#[derive(Deserialize)]
struct Entry {
    path: String,
    /// Bytes of the file, compressed by gzip.
    length: usize,
    /// All headers but those of the transfer.
    headers: HashMap<String, String>,
}

struct File {
    headers: HeaderMap,
    gzip: &'static [u8],
}

/// A file of the page.
pub(crate) type Answer = Response<Full<Bytes>>;

/// The files of the page by their paths.
pub(crate) struct Page(HashMap<String, File>);

impl Page {
    /// The page of this build.
    pub(crate) fn of_build() -> Self {
        Self::of(PACKED).unwrap_or_else(|| Self(HashMap::new()))
    }

    /// Reads a pack; `None` if it is not one.
    fn of(pack: &'static [u8]) -> Option<Self> {
        let end = pack.iter().position(|byte| *byte == b'\n')?;
        let entries: Vec<Entry> = serde_json::from_slice(&pack[..end]).ok()?;
        let mut rest = &pack[end + 1..];
        let mut files = HashMap::new();
        for Entry { path, length, headers } in entries {
            let (gzip, after) = rest.split_at_checked(length)?;
            rest = after;
            let header = |(name, value): (String, String)| {
                Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
            };
            files.insert(path, File { headers: headers.into_iter().map(header).collect::<Option<_>>()?, gzip });
        }
        Some(Self(files))
    }

    /// True if the page can be opened.
    pub(crate) fn is_there(&self) -> bool {
        !self.0.is_empty()
    }

    /// The answer to a request for a file of the page; `None` for all other requests.
    pub(crate) fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Option<Answer> {
        let is_head = method == Method::HEAD;
        if method != Method::GET && !is_head {
            return None;
        }
        let Some(file) = self.0.get(path) else { return (path == "/" && !self.is_there()).then(missing) };
        let mut answer = file.answer(headers);
        if is_head {
            *answer.body_mut() = Full::default();
        }
        Some(answer)
    }
}

impl File {
    fn answer(&self, asked: &HeaderMap) -> Answer {
        let text = |name: HeaderName| asked.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_known = self.headers.get(ETAG).and_then(|tag| tag.to_str().ok()).is_some_and(|tag| {
            text(IF_NONE_MATCH).split(',').any(|known| known.trim().trim_start_matches("W/") == tag || known == "*")
        });
        let takes_gzip = takes_gzip(text(ACCEPT_ENCODING));
        let mut status = StatusCode::OK;
        let body = match (is_known, takes_gzip) {
            (true, _) => {
                status = StatusCode::NOT_MODIFIED;
                Bytes::new()
            }
            (false, true) => Bytes::from_static(self.gzip),
            (false, false) => {
                let mut plain = Vec::new();
                // The build has compressed it, so it is whole.
                let _ = GzDecoder::new(self.gzip).read_to_end(&mut plain);
                Bytes::from(plain)
            }
        };
        let mut answer = Response::new(Full::new(body));
        *answer.status_mut() = status;
        let headers = answer.headers_mut();
        headers.extend(self.headers.clone());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if takes_gzip && !is_known {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        answer
    }
}

/// Returns true if a header `accept-encoding` allows gzip.
fn takes_gzip(accepted: &str) -> bool {
    accepted.split(',').any(|each| {
        let (name, quality) = each.split_once(';').unwrap_or((each, ""));
        let is_refused = quality.split_once('=').is_some_and(|(_, value)| value.trim().parse() == Ok(0f32));
        matches!(name.trim(), "gzip" | "x-gzip" | "*") && !is_refused
    })
}

fn missing() -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from_static(MISSING.as_bytes())));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use http_body_util::BodyExt;
    use serde_json::json;

    use super::*;

    /// A page of two files.
    fn page() -> Page {
        let gzip = |text: &str| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(text.as_bytes()).expect("memory");
            encoder.finish().expect("memory")
        };
        let files = [("/", "<!doctype html>", "text/html"), ("/page.js", "start()", "text/javascript")];
        let (mut entries, mut bodies) = (Vec::new(), Vec::new());
        for (path, text, kind) in files {
            let body = gzip(text);
            let headers = json!({"content-type": kind, "etag": format!("\"{path}\""), "content-security-policy": "default-src 'none'"});
            entries.push(json!({"path": path, "length": body.len(), "headers": headers}));
            bodies.extend(body);
        }
        let pack = [serde_json::to_vec(&entries).expect("JSON"), vec![b'\n'], bodies].concat();
        Page::of(pack.leak()).expect("a pack")
    }

    fn get(page: &Page, path: &str, pairs: &[(HeaderName, &str)]) -> Option<(Response<()>, Bytes)> {
        let headers = pairs.iter().map(|(name, value)| (name.clone(), value.parse().expect("a value"))).collect();
        let (head, body) = page.answer(&Method::GET, path, &headers)?.into_parts();
        let body = pollster::block_on(body.collect()).expect("a body").to_bytes();
        Some((Response::from_parts(head, ()), body))
    }

    #[test]
    fn files_have_their_headers_and_are_compressed_for_those_who_take_it() {
        let page = page();
        let (head, body) = get(&page, "/", &[]).expect("the index");
        assert_eq!((head.status(), &*body), (StatusCode::OK, b"<!doctype html>".as_slice()));
        let header = |name: HeaderName| head.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
        assert_eq!(header(CONTENT_TYPE).as_deref(), Some("text/html"));
        assert_eq!(header("content-security-policy".parse().expect("a name")).as_deref(), Some("default-src 'none'"));
        assert_eq!(header(CACHE_CONTROL).as_deref(), Some("no-cache"));
        assert_eq!(header(CONTENT_ENCODING), None);
        for accepted in ["gzip", "br, gzip;q=0.5", "*"] {
            let (head, body) = get(&page, "/page.js", &[(ACCEPT_ENCODING, accepted)]).expect("a script");
            assert_eq!(head.headers().get(CONTENT_ENCODING), Some(&HeaderValue::from_static("gzip")), "{accepted}");
            let mut text = String::new();
            GzDecoder::new(&*body).read_to_string(&mut text).expect("gzip");
            assert_eq!(text, "start()");
        }
        for accepted in ["br", "gzip;q=0", ""] {
            assert_eq!(&*get(&page, "/page.js", &[(ACCEPT_ENCODING, accepted)]).expect("a script").1, b"start()");
        }
        let (head, body) = get(&page, "/", &[(IF_NONE_MATCH, "\"other\", W/\"/\"")]).expect("the index");
        assert_eq!((head.status(), body.len()), (StatusCode::NOT_MODIFIED, 0));
        let head = page.answer(&Method::HEAD, "/page.js", &HeaderMap::new()).expect("a script");
        assert_eq!(pollster::block_on(head.into_body().collect()).expect("a body").to_bytes().len(), 0);
    }

    #[test]
    fn all_other_paths_and_methods_are_not_of_the_page() {
        let page = page();
        for path in
            ["/v1/models", "/index.php", "/../Cargo.toml", "/%2e%2e/Cargo.toml", "//", "", "/page.js/", "page.js"]
        {
            assert!(get(&page, path, &[]).is_none(), "{path}");
        }
        assert!(page.answer(&Method::POST, "/", &HeaderMap::new()).is_none());
    }

    #[test]
    fn a_build_without_a_page_tells_how_to_make_one() {
        let page = Page(HashMap::new());
        let (head, body) = get(&page, "/", &[]).expect("a text");
        assert_eq!(head.status(), StatusCode::OK);
        assert!(String::from_utf8_lossy(&body).contains("./build.sh"));
        assert!(get(&page, "/page.js", &[]).is_none());
        for pack in [&b""[..], b"[]", b"{}\n", b"[{\"path\":\"/\",\"length\":9,\"headers\":{}}]\nshort"] {
            assert!(Page::of(pack).is_none(), "{pack:?}");
        }
    }

    #[test]
    fn the_page_of_this_build_is_whole_if_there_is_one() {
        let page = Page::of_build();
        assert_eq!(page.is_there(), !PACKED.is_empty());
        for (path, file) in &page.0 {
            let mut text = Vec::new();
            GzDecoder::new(file.gzip).read_to_end(&mut text).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert!(file.headers.contains_key(CONTENT_TYPE) && file.headers.contains_key(ETAG), "{path}");
        }
    }
}
