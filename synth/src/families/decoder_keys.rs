//! GGUF keys that the decoders of all families have.

use ocelli::config::TextConfig;

use crate::gguf_header::GgufHeader;

/// Writes the keys of a decoder, as llama.cpp's converters do.
pub(super) fn describe_text(header: &mut GgufHeader, architecture: &str, text: &TextConfig) {
    header.set("general.architecture", architecture);
    let key = |key: &str| format!("{architecture}.{key}");
    let sizes = [
        ("vocab_size", text.vocab_size),
        ("context_length", text.max_position_embeddings),
        ("embedding_length", text.hidden_size),
        ("block_count", text.layers.len()),
        ("feed_forward_length", text.intermediate_size),
        ("attention.head_count", text.num_attention_heads),
        ("attention.head_count_kv", text.num_key_value_heads),
        ("attention.key_length", text.head_dim),
        ("attention.value_length", text.head_dim),
        ("rope.dimension_count", text.rope.pairs.lanes(text.head_dim)),
    ];
    for (name, size) in sizes {
        header.set(&key(name), size as u32);
    }
    header.set(&key("attention.layer_norm_rms_epsilon"), text.rms_norm_eps);
    header.set(&key("rope.freq_base"), text.rope.theta as f32);
    if let Some([time, rows, columns]) = text.rope.sections {
        header.set(&key("rope.dimension_sections"), [time, rows, columns, 0].map(|size| size as i32).to_vec());
    }
    if let Some(scaling) = &text.query_scaling {
        header.set(&key("attention.temperature_scale"), scaling.beta as f32);
    }
    if let Some(yarn) = &text.rope.yarn {
        header.set(&key("rope.scaling.type"), "yarn");
        header.set(&key("rope.scaling.factor"), yarn.factor as f32);
        header.set(&key("rope.scaling.original_context_length"), yarn.original_max_position_embeddings as u32);
        header.set(&key("rope.scaling.yarn_beta_fast"), yarn.beta_fast as f32);
        header.set(&key("rope.scaling.yarn_beta_slow"), yarn.beta_slow as f32);
        header.set(&key("rope.scaling.yarn_log_multiplier"), 1.0f32);
    }
}
