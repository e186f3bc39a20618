//! Pictures at addresses, for the user's own commands only: a server that fetches what its clients name could be made to reach any host.

use std::time::Duration;

use ocelli::{Error, Result};
use ureq::Agent;

/// Most bytes of a picture.
const MOST_BYTES: u64 = 64 << 20;
/// Time limit of a picture.
const TIME: Duration = Duration::from_secs(60);

/// Returns true for an http or https address.
pub(crate) fn is_address(name: &str) -> bool {
    ["http://", "https://"]
        .iter()
        .any(|scheme| name.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
}

/// The file at an address.
///
/// # Errors
/// `io`.
pub(crate) fn get(address: &str) -> Result<Vec<u8>> {
    let fail = |reason: String| Error::Io { path: address.into(), reason };
    let config = Agent::config_builder()
        // A redirection from https to http is refused.
        .https_only(address.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("https")))
        .max_redirects(5)
        .timeout_global(Some(TIME))
        .user_agent(concat!("ocelli/", env!("CARGO_PKG_VERSION")));
    let agent: Agent = config.build().into();
    let response = agent.get(address).call().map_err(|error| fail(error.to_string()))?;
    let bytes = response.into_body().into_with_config().limit(MOST_BYTES).read_to_vec();
    bytes.map_err(|error| fail(error.to_string()))
}
