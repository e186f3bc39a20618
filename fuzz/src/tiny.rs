//! The smallest valid files of each kind.

/// Builder of a GGUF file.
#[derive(Default)]
struct Gguf {
    pairs: Vec<u8>,
    pair_count: u64,
    tensors: Vec<(String, Vec<u64>, u32)>,
}

/// Numbers of ggml's types.
const F32: u32 = 0;
const F16: u32 = 1;
const Q4_0: u32 = 2;
const Q8_0: u32 = 8;
const Q4_K: u32 = 12;
const Q5_K: u32 = 13;
const Q6_K: u32 = 14;
const BF16: u32 = 30;

/// Bytes of a block and elements in it.
fn block(kind: u32) -> (u64, u64) {
    match kind {
        F32 => (4, 1),
        Q4_0 => (18, 32),
        Q8_0 => (34, 32),
        Q4_K => (144, 256),
        Q5_K => (176, 256),
        Q6_K => (210, 256),
        _ => (2, 1),
    }
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

impl Gguf {
    fn pair(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.pair_count += 1;
        self.pairs.extend([&text(key), kind.to_le_bytes().as_slice(), value].concat());
        self
    }

    fn sizes(self, prefix: &str, sizes: &[(&str, u32)]) -> Self {
        sizes.iter().fold(self, |file, (key, size)| file.pair(&format!("{prefix}.{key}"), 4, &size.to_le_bytes()))
    }

    fn numbers(self, prefix: &str, numbers: &[(&str, f32)]) -> Self {
        numbers.iter().fold(self, |file, (key, x)| file.pair(&format!("{prefix}.{key}"), 6, &x.to_le_bytes()))
    }

    fn text(self, key: &str, value: &str) -> Self {
        self.pair(key, 8, &text(value))
    }

    fn flag(self, key: &str, value: bool) -> Self {
        self.pair(key, 7, &[value.into()])
    }

    fn array(self, key: &str, kind: u32, values: &[Vec<u8>]) -> Self {
        let head = [&kind.to_le_bytes()[..], &(values.len() as u64).to_le_bytes()].concat();
        self.pair(key, 9, &[head, values.concat()].concat())
    }

    /// A tensor of zeros; sizes fastest first.
    fn tensor(mut self, name: &str, dims: &[u64], kind: u32) -> Self {
        self.tensors.push((name.into(), dims.to_vec(), kind));
        self
    }

    fn bytes(self) -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        file.extend(3u32.to_le_bytes());
        file.extend((self.tensors.len() as u64).to_le_bytes());
        file.extend(self.pair_count.to_le_bytes());
        file.extend(self.pairs);
        let mut offset = 0;
        for (name, dims, kind) in self.tensors {
            file.extend(text(&name));
            file.extend((dims.len() as u32).to_le_bytes());
            file.extend(dims.iter().flat_map(|size| size.to_le_bytes()));
            file.extend(kind.to_le_bytes());
            file.extend(u64::to_le_bytes(offset));
            let (bytes, elements) = block(kind);
            offset += (dims.iter().product::<u64>() / elements * bytes).next_multiple_of(32);
        }
        file.resize(file.len().next_multiple_of(32) + offset as usize, 0);
        file
    }
}

/// Sizes of a decoder with one layer, and the types of its matrices.
struct Decoder {
    architecture: &'static str,
    hidden: u64,
    ffn: u64,
    heads: u64,
    head_dim: u64,
    /// Embedding and projections into the layer.
    narrow: u32,
    /// Projection out of attention and feed-forward.
    o_proj: u32,
    down: u32,
}

const VOCABULARY: [&str; 8] = ["<unk>", "<s>", "</s>", "[IMG]", "[IMG_BREAK]", "[IMG_END]", "a", "b"];

impl Decoder {
    fn file(&self) -> Vec<u8> {
        let Self { architecture, hidden, ffn, heads, head_dim, narrow, o_proj, down } = *self;
        let (vocab, width) = (VOCABULARY.len() as u64, heads * head_dim);
        let sizes = [
            ("embedding_length", hidden),
            ("block_count", 1),
            ("attention.head_count", heads),
            ("attention.head_count_kv", heads),
            ("attention.key_length", head_dim),
            ("attention.value_length", head_dim),
            ("context_length", 64),
            ("feed_forward_length", ffn),
            ("rope.scaling.original_context_length", 16),
        ];
        let sizes = sizes.map(|(key, size)| (key, size as u32));
        let numbers = [
            ("attention.layer_norm_rms_epsilon", 1e-5),
            ("rope.freq_base", 1e6),
            ("rope.scaling.factor", 4.0),
            ("attention.temperature_scale", 0.1),
        ];
        let strings = |texts: &[&str]| texts.iter().map(|t| text(t)).collect::<Vec<_>>();
        let kinds: Vec<Vec<u8>> = [2, 3, 3, 3, 3, 3, 1, 1].iter().map(|kind: &i32| kind.to_le_bytes().into()).collect();
        let layer = |name: &str| format!("blk.0.{name}.weight");
        Gguf::default()
            .text("general.architecture", architecture)
            .text("general.name", "tiny")
            .sizes("general", &[("alignment", 32)])
            .sizes(architecture, &sizes)
            .numbers(architecture, &numbers)
            .text(&format!("{architecture}.rope.scaling.type"), "yarn")
            .text("tokenizer.ggml.model", "gpt2")
            .text("tokenizer.ggml.pre", "tekken")
            .array("tokenizer.ggml.tokens", 8, &strings(&VOCABULARY))
            .array("tokenizer.ggml.token_type", 5, &kinds)
            .array("tokenizer.ggml.merges", 8, &strings(&["a b"]))
            .sizes("tokenizer.ggml", &[("bos_token_id", 1), ("eos_token_id", 2)])
            .tensor("token_embd.weight", &[hidden, vocab], narrow)
            .tensor("output_norm.weight", &[hidden], F32)
            .tensor(&layer("attn_norm"), &[hidden], F32)
            .tensor(&layer("ffn_norm"), &[hidden], F32)
            .tensor(&layer("attn_q"), &[hidden, width], narrow)
            .tensor(&layer("attn_k"), &[hidden, width], narrow)
            .tensor(&layer("attn_v"), &[hidden, width], narrow)
            .tensor(&layer("attn_output"), &[width, hidden], o_proj)
            .tensor(&layer("ffn_gate"), &[hidden, ffn], narrow)
            .tensor(&layer("ffn_up"), &[hidden, ffn], narrow)
            .tensor(&layer("ffn_down"), &[ffn, hidden], down)
            .bytes()
    }
}

/// A text model in numbers of three widths.
pub fn gguf_floats() -> Vec<u8> {
    let (hidden, ffn, heads, head_dim) = (4, 4, 1, 4);
    let architecture = "llama";
    Decoder { architecture, hidden, ffn, heads, head_dim, narrow: BF16, o_proj: F16, down: F32 }.file()
}

/// A text model in blocks of 32.
pub fn gguf_blocks() -> Vec<u8> {
    let (hidden, ffn, heads, head_dim) = (32, 32, 2, 16);
    let architecture = "mistral3";
    Decoder { architecture, hidden, ffn, heads, head_dim, narrow: Q4_0, o_proj: Q8_0, down: Q4_0 }.file()
}

/// A text model with blocks of 256.
pub fn gguf_k_quants() -> Vec<u8> {
    let (hidden, ffn, heads, head_dim) = (4, 256, 1, 256);
    let architecture = "mistral3";
    Decoder { architecture, hidden, ffn, heads, head_dim, narrow: F16, o_proj: Q6_K, down: Q4_K }.file()
}

/// A text model with the other block formats of 256.
pub fn gguf_k_quants_with_fifth_bits() -> Vec<u8> {
    let (hidden, ffn, heads, head_dim) = (4, 256, 1, 4);
    let architecture = "mistral3";
    Decoder { architecture, hidden, ffn, heads, head_dim, narrow: F16, o_proj: F16, down: Q5_K }.file()
}

/// The vision part, 8 wide, of a text model that is 4 wide.
pub fn gguf_vision_half() -> Vec<u8> {
    let sizes = [
        ("embedding_length", 8),
        ("attention.head_count", 1),
        ("feed_forward_length", 4),
        ("block_count", 1),
        ("patch_size", 2),
        ("image_size", 8),
        ("spatial_merge_size", 2),
    ];
    let three = |x: f32| vec![x.to_le_bytes().to_vec(); 3];
    let layer = |name: &str| format!("v.blk.0.{name}.weight");
    let mut file = Gguf::default()
        .text("general.architecture", "clip")
        .text("clip.projector_type", "pixtral")
        .flag("clip.use_silu", true)
        .sizes("clip.vision", &sizes)
        .numbers("clip.vision", &[("attention.layer_norm_epsilon", 1e-5)])
        .array("clip.vision.image_mean", 6, &three(0.5))
        .array("clip.vision.image_std", 6, &three(0.25))
        .tensor("v.patch_embd.weight", &[2, 2, 3, 8], F16)
        .tensor("v.pre_ln.weight", &[8], F32)
        .tensor(&layer("ln1"), &[8], F32)
        .tensor(&layer("ln2"), &[8], F32);
    for name in ["attn_q", "attn_k", "attn_v", "attn_out"] {
        file = file.tensor(&layer(name), &[8, 8], BF16);
    }
    for (name, shape) in [("ffn_gate", [8, 4]), ("ffn_up", [8, 4]), ("ffn_down", [4, 8])] {
        file = file.tensor(&layer(name), &shape, BF16);
    }
    file.tensor("mm.input_norm.weight", &[8], F32)
        .tensor("mm.patch_merger.weight", &[32, 8], F16)
        .tensor("mm.1.weight", &[8, 4], F16)
        .tensor("mm.1.bias", &[4], F32)
        .tensor("mm.2.weight", &[4, 4], F16)
        .tensor("mm.2.bias", &[4], F32)
        .bytes()
}

/// `config.json` of the checkpoints below.
pub const HF_CONFIG: &[u8] = br#"{"architectures": ["MistralForCausalLM"], "model_type": "mistral", "hidden_size": 4,
    "intermediate_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": 4,
    "vocab_size": 4, "max_position_embeddings": 16, "sliding_window": null, "rms_norm_eps": 1e-5, "rope_theta": 1e4,
    "tie_word_embeddings": false}"#;

/// A tensor of a checkpoint: name, type, sizes.
pub type Tensor = (String, &'static str, Vec<usize>);

fn checkpoint(matrix: &'static str) -> Vec<Tensor> {
    let mut tensors: Vec<Tensor> = vec![
        ("model.embed_tokens.weight".into(), "F16", vec![4, 4]),
        ("model.norm.weight".into(), "F32", vec![4]),
        ("lm_head.weight".into(), "BF16", vec![4, 4]),
    ];
    for name in ["input_layernorm", "post_attention_layernorm"] {
        tensors.push((format!("model.layers.0.{name}.weight"), "BF16", vec![4]));
    }
    for name in ["self_attn.q", "self_attn.k", "self_attn.v", "self_attn.o", "mlp.gate", "mlp.up", "mlp.down"] {
        let name = format!("model.layers.0.{name}_proj.weight");
        if matrix == "F8_E4M3" {
            tensors.push((format!("{name}_scale_inv"), "BF16", Vec::new()));
        }
        tensors.push((name, matrix, vec![4, 4]));
    }
    tensors
}

/// A safetensors file of zeros.
pub fn safetensors(tensors: &[Tensor]) -> Vec<u8> {
    let mut end = 0;
    let entries = tensors.iter().map(|(name, kind, shape)| {
        let start = end;
        let width = match *kind {
            "F32" => 4,
            "F8_E4M3" => 1,
            _ => 2,
        };
        end += shape.iter().product::<usize>() * width;
        format!(r#""{name}":{{"dtype":"{kind}","shape":{shape:?},"data_offsets":[{start},{end}]}}"#)
    });
    let header = format!("{{{}}}", entries.collect::<Vec<_>>().join(","));
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; end]].concat()
}

/// `config.json` of a small Llama 3.2 Vision, with a layer of each kind.
pub const MLLAMA_CONFIG: &[u8] = br#"{"architectures": ["MllamaForConditionalGeneration"], "model_type": "mllama",
    "image_token_index": 4, "text_config": {"model_type": "mllama_text_model", "hidden_size": 64, "intermediate_size": 4,
    "num_hidden_layers": 2, "cross_attention_layers": [1], "num_attention_heads": 16, "num_key_value_heads": 1, "vocab_size": 4, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2,
    "max_position_embeddings": 16, "rms_norm_eps": 1e-5, "tie_word_embeddings": false, "rope_parameters": {"rope_type": "llama3",
    "rope_theta": 1e4, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8}},
    "vision_config": {"model_type": "mllama_vision_model", "hidden_act": "gelu", "hidden_size": 8, "attention_heads": 1,
    "intermediate_size": 4, "num_hidden_layers": 2, "num_global_layers": 1, "intermediate_layers_indices": [0, 1],
    "image_size": 4, "patch_size": 2, "max_num_tiles": 2, "num_channels": 3, "norm_eps": 1e-5, "vision_output_dim": 24}}"#;

/// `config.json` of a small Qwen3.5, with a layer of each kind.
pub const QWEN3_5_CONFIG: &[u8] = br#"{"architectures": ["Qwen3_5ForConditionalGeneration"], "model_type": "qwen3_5",
    "tie_word_embeddings": true, "image_token_id": 4, "video_token_id": 5, "vision_start_token_id": 6, "vision_end_token_id": 7,
    "text_config": {"model_type": "qwen3_5_text", "hidden_size": 32, "intermediate_size": 4, "num_hidden_layers": 2,
    "layer_types": ["linear_attention", "full_attention"], "full_attention_interval": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 16, "vocab_size": 8, "bos_token_id": 0, "eos_token_id": 1, "max_position_embeddings": 16,
    "linear_conv_kernel_dim": 4, "linear_key_head_dim": 32, "linear_value_head_dim": 32, "linear_num_key_heads": 1,
    "linear_num_value_heads": 1, "rms_norm_eps": 1e-6, "hidden_act": "silu", "tie_word_embeddings": true, "rope_parameters":
    {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.25, "mrope_interleaved": true, "mrope_section": [1, 1, 0]}},
    "vision_config": {"model_type": "qwen3_5_vision", "depth": 1, "hidden_size": 8, "intermediate_size": 4, "num_heads": 1,
    "num_position_embeddings": 4, "out_hidden_size": 32, "in_channels": 3, "patch_size": 2, "spatial_merge_size": 2,
    "temporal_patch_size": 2, "hidden_act": "gelu_pytorch_tanh"}}"#;

/// The weights of a model whose matrices are of that type, `F32`, `F16`, `BF16` or `F8_E4M3`.
pub fn safetensors_of(matrix: &'static str) -> Vec<u8> {
    safetensors(&checkpoint(matrix))
}

/// The same in two files.
pub fn safetensors_halves() -> [Vec<u8>; 2] {
    let tensors = checkpoint("F16");
    let (first, second) = tensors.split_at(tensors.len() / 2);
    [first, second].map(safetensors)
}

/// The index of both files.
pub fn safetensors_list() -> Vec<u8> {
    let tensors = checkpoint("F16");
    let place = |(i, (name, ..)): (usize, &Tensor)| {
        let half = if i < tensors.len() / 2 { "first" } else { "second" };
        format!(r#""{name}": "{half}.safetensors""#)
    };
    let places: Vec<String> = tensors.iter().enumerate().map(place).collect();
    format!(r#"{{"metadata": {{"total_size": 0}}, "weight_map": {{{}}}}}"#, places.join(", ")).into_bytes()
}
