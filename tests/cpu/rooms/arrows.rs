//! The rooms, and what each may import.

/// Rooms or parts of rooms, each with the paths that it may import.
pub(super) type Arrows<'a> = &'a [(&'a str, &'a [&'a str])];

/// Allowed imports of a room: rooms, or some modules of a room.
pub(super) const ARROWS: [(&str, &[&str]); 26] = [
    ("error", &[]),
    ("config", &["error"]),
    ("layout", &["error"]),
    ("chat", &["error"]),
    ("image", &["error", "config"]),
    ("sampling", &["error", "config"]),
    ("grammar", &["error", "chat"]),
    ("shader", &["error"]),
    ("gpu", &["error", "shader"]),
    ("weights", &["error", "gpu", "layout"]),
    ("reference", &["config", "sampling::options"]),
    ("kernels", &["error", "config", "gpu", "layout", "reference", "sampling::options", "shader", "weights"]),
    ("state", &["error", "config", "gpu", "kernels"]),
    ("layers", &["error", "config", "gpu", "kernels", "layout", "state", "weights"]),
    ("checkpoint", &["error", "config"]),
    (
        "families",
        &[
            "error",
            "config",
            "chat",
            "checkpoint",
            "image",
            "gpu",
            "kernels",
            "layers",
            "layout",
            "sampling",
            "weights",
        ],
    ),
    ("package", &["error", "chat", "families", "gpu", "layout", "sampling", "weights"]),
    ("import", &["error", "config", "chat", "checkpoint", "families", "layout", "package", "sampling"]),
    ("model", &["error", "config", "families", "gpu", "kernels", "layers", "package", "sampling", "state", "weights"]),
    ("memory", &["error", "config", "families", "gpu", "kernels", "layers", "model", "package", "sampling", "state"]),
    (
        "engine",
        &[
            "error", "config", "families", "gpu", "kernels", "layers", "layout", "memory", "package", "model", "chat",
            "image", "sampling", "state", "grammar", "weights",
        ],
    ),
    ("responses", &[]),
    ("api", &["error", "config", "chat", "image", "sampling", "grammar", "engine", "responses"]),
    ("usage", &["error", "api", "chat", "engine"]),
    (
        "bench",
        &[
            "error", "config", "families", "gpu", "kernels", "layout", "package", "model", "chat", "image", "sampling",
            "engine",
        ],
    ),
    ("build", &["shader"]),
];

/// Allowed imports between the rooms of the command.
pub(super) const COMMAND: [(&str, &[&str]); 12] = [
    ("fetch", &[]),
    ("shared", &["fetch"]),
    ("store", &["shared"]),
    ("usage", &["shared"]),
    ("batch", &["shared", "usage"]),
    ("pull", &["shared"]),
    ("mcp", &["shared"]),
    ("lanes", &["fetch", "shared"]),
    ("page", &["shared"]),
    ("engines", &["lanes", "shared", "usage"]),
    ("serve", &["batch", "engines", "fetch", "lanes", "mcp", "page", "shared", "store", "usage"]),
    ("commands", &["batch", "fetch", "pull", "shared", "usage"]),
];

/// Families that reuse parts of another one.
pub(super) const FAMILY_ARROWS: [(&str, &str); 3] =
    [("qwen3_5", "qwen3_vl"), ("mllama", "llama"), ("minicpmv4_6", "qwen3_5")];

/// Folders of crates whose files must not import one another in a circle.
pub(super) const CRATES: [&str; 13] = [
    "src",
    "bin",
    "cpu/src",
    "grammar/src",
    "pictures/src",
    "synth/src",
    "wasm/bench/src",
    "wasm/cpu/src",
    "wasm/engine/src",
    "wasm/grammar/src",
    "wasm/import/src",
    "wasm/pictures/src",
    "wasm/shared/src",
];

/// Most lines of a room. A folder in one of [`WINGS`] is a room of its own; `kernels` has one module for each kernel.
pub(super) const MAX_ROOM_LINES: usize = 2_800;
pub(super) const WINGS: [&str; 5] = ["bin", "src/api", "src/engine", "src/families", "src/gpu"];

/// Words that are restricted to some places.
pub(super) const WORDS: [(&str, &[&str]); 5] = [
    ("wgpu", &["gpu/"]),
    ("wasm_bindgen", &["chat/pattern/browser.rs"]),
    ("js_sys", &["chat/nfc.rs", "chat/pattern/browser.rs"]),
    ("web_sys", &[]),
    ("target_arch", &["chat/nfc.rs", "chat/pattern/mod.rs", "gpu/host/mod.rs", "gpu/options.rs", "gpu/threads.rs"]),
];
