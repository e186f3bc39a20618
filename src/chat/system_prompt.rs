//! The system prompt that Ministral 3 Instruct was tuned with.

/// Mistral's default system prompt, from the chat template of the December 2025 release, with its three blanks filled.
///
/// `today` and `yesterday` are dates such as `2026-01-31`: this room has no clock. The caller decides whether a
/// conversation without a system message gets it.
pub fn default_system_prompt(model_name: &str, today: &str, yesterday: &str) -> String {
    TEMPLATE.replace("{name}", model_name).replace("{today}", today).replace("{yesterday}", yesterday)
}

const TEMPLATE: &str = include_str!("system_prompt.txt");
