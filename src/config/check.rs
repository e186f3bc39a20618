//! Checks of a decoder's configuration: sizes and numbers that the kernels can run.

use super::{LayerKind, MAX_HEAD_DIM, MAX_HEADS, MAX_LAYERS, MAX_WIDTH, RopeConfig, TextConfig, Values};

/// A size to check: its name, its value, the number it must be a multiple of, its largest value.
pub(crate) type Size = (&'static str, usize, usize, usize);

/// Describes the first size that is wrong, if there is one.
pub(crate) fn size_fault(sizes: &[Size]) -> Option<String> {
    let bad = |&&(_, size, multiple, max): &&Size| size == 0 || size > max || !size.is_multiple_of(multiple);
    let (name, size, multiple, max) = sizes.iter().find(bad)?;
    Some(format!("{name} is {size}, it must be a multiple of {multiple} in {multiple}..={max}"))
}

/// Describes the first number that is not positive and finite, if there is one.
pub(crate) fn number_fault(numbers: &[(&'static str, f64)]) -> Option<String> {
    let (name, number) = numbers.iter().find(|(_, x)| !(x.is_finite() && *x > 0.0))?;
    Some(format!("{name} is {number}, it must be a positive number"))
}

impl TextConfig {
    /// Why this crate's kernels cannot run such a decoder; `None` if they can.
    pub(crate) fn find_fault(&self) -> Option<String> {
        let sizes = [
            ("vocab_size", self.vocab_size, 1, MAX_WIDTH),
            ("hidden_size", self.hidden_size, 4, MAX_WIDTH),
            ("intermediate_size", self.intermediate_size, 4, MAX_WIDTH),
            ("num_hidden_layers", self.layers.len(), 1, MAX_LAYERS),
            ("num_attention_heads", self.num_attention_heads, 1, MAX_HEADS),
            ("num_key_value_heads", self.num_key_value_heads, 1, MAX_HEADS),
            ("head_dim", self.head_dim, 4, MAX_HEAD_DIM),
            ("max_position_embeddings", self.max_position_embeddings, 1, 1 << 24),
        ];
        let fault = self.ropes().find_map(|(rope, head_dim)| rope.find_fault(head_dim));
        fault
            .or_else(|| self.delta_fault())
            .or_else(|| self.cross_fault())
            .or_else(|| self.layer_fault())
            .or_else(|| size_fault(&sizes))
            .or_else(|| self.number_fault())
            .or_else(|| {
                let grouped = self.num_attention_heads.is_multiple_of(self.num_key_value_heads);
                (!grouped).then(|| "num_key_value_heads does not divide num_attention_heads".into())
            })
            .or_else(|| self.sharing_fault())
    }

    fn number_fault(&self) -> Option<String> {
        let options = &self.layer_options;
        let mut numbers = vec![("rms_norm_eps", self.rms_norm_eps.into())];
        let optional = [
            ("query_pre_attn_scalar", options.query_pre_attn_scalar),
            ("attn_logit_softcapping", options.attn_logit_softcapping),
            ("final_logit_softcapping", self.final_logit_softcapping),
            ("embedding_scale", self.embedding_scale),
        ];
        numbers.extend(optional.into_iter().filter_map(|(name, number)| Some((name, f64::from(number?)))));
        if let Some(scaling) = &self.query_scaling {
            numbers.push(("query_scaling original_max_position_embeddings", scaling.original_max_position_embeddings));
            if !scaling.beta.is_finite() {
                return Some(format!("query_scaling beta is {}", scaling.beta));
            }
        }
        number_fault(&numbers)
    }

    fn layer_fault(&self) -> Option<String> {
        let slides = self.count(LayerKind::SlidingAttention) > 0;
        let window = self.layer_options.sliding_window.or(slides.then_some(0))?;
        size_fault(&[("sliding_window", window, 1, 1 << 24)])
    }

    /// Faults of layers with heads of another size, and of those that read the keys and values of others.
    fn sharing_fault(&self) -> Option<String> {
        let options = &self.layer_options;
        let heads = options.full_heads.unwrap_or(self.kv_heads(LayerKind::SlidingAttention));
        let mut sizes = vec![
            ("key heads of full layers", heads.count, 1, MAX_HEADS),
            ("head_dim of full layers", heads.dim, 4, MAX_HEAD_DIM),
            ("feed-forward of layers without keys", self.widest_ffn(), 4, MAX_WIDTH),
        ];
        // A run of per-layer inputs is normed by one workgroup.
        sizes.extend(options.per_layer_inputs.map(|width| ("width of per-layer inputs", width, 4, 1 << 12)));
        let is_apart = |layer: usize| {
            let kind = self.layers[layer];
            kind.is_self_attention() && !self.layers[..self.own_layers()].contains(&kind)
        };
        let shares = (self.own_layers()..self.layers.len())
            .find(|&layer| is_apart(layer) || self.delta.is_some() || self.cross.is_some());
        let has_norms = self.head_norms || options.values == Values::Plain;
        let has_post_norms = options.post_norms || !options.layer_scalars && options.per_layer_inputs.is_none();
        size_fault(&sizes)
            .or_else(|| shares.map(|layer| format!("layer {layer} shares no keys and values with an earlier one")))
            .or_else(|| {
                (!self.num_attention_heads.is_multiple_of(heads.count))
                    .then(|| "key heads of full layers do not divide query heads".into())
            })
            .or_else(|| (!has_norms).then(|| "values are normed beside keys that are not".into()))
            .or_else(|| (!has_post_norms).then(|| "per-layer inputs or factors of layers without post-norms".into()))
            .or_else(|| {
                (options.full_heads.is_some() && options.sliding_rope.is_none())
                    .then(|| "heads of two widths have one rope".into())
            })
    }

    fn cross_fault(&self) -> Option<String> {
        let Some(cross) = &self.cross else {
            return (self.count(LayerKind::CrossAttention) > 0)
                .then(|| "layers of cross-attention have no sizes".into());
        };
        if cross.image_token_id as usize >= self.vocab_size.saturating_add(cross.extra_tokens) {
            return Some(format!("picture token {} lies outside the embedding", cross.image_token_id));
        }
        // A tied head has no use for the extra rows.
        if self.tie_word_embeddings || self.layers.first() == Some(&LayerKind::CrossAttention) {
            return Some("cross-attention in the first layer, or a tied head beside it, is not supported".into());
        }
        let sizes = [
            ("picture rows", cross.picture_rows, 1, 1 << 16),
            ("extra tokens", cross.extra_tokens.saturating_add(1), 1, 1 << 16),
            // Offsets of bindings are multiples of 256 bytes, and rows of features are bound one by one.
            ("hidden_size beside cross-attention", self.hidden_size, 64, MAX_WIDTH),
        ];
        size_fault(&sizes)
    }

    fn delta_fault(&self) -> Option<String> {
        if self.self_attention_layers() == 0 {
            return Some("no layer attends to earlier tokens".into());
        }
        let Some(delta) = &self.delta else {
            return (self.count(LayerKind::DeltaNet) > 0).then(|| "recurrent layers have no sizes".into());
        };
        let sizes = [
            ("linear key heads", delta.key_heads, 1, MAX_HEADS),
            ("linear value heads", delta.value_heads, delta.key_heads.max(1), MAX_HEADS),
            // A workgroup computes 32 columns of a head.
            ("linear head_dim", delta.head_dim, 32, MAX_HEAD_DIM),
        ];
        size_fault(&sizes)
    }
}

impl RopeConfig {
    /// Why heads of this width cannot be rotated so; `None` if they can.
    fn find_fault(&self, head_dim: usize) -> Option<String> {
        let mut numbers = vec![("rope_theta", self.theta)];
        if let Some(yarn) = &self.yarn {
            numbers.extend([
                ("rope factor", yarn.factor),
                ("rope original_max_position_embeddings", yarn.original_max_position_embeddings),
                ("rope beta_fast", yarn.beta_fast),
                ("rope beta_slow", yarn.beta_slow),
                ("rope attention_factor", yarn.attention_factor),
            ]);
        }
        if let Some(divisors) = &self.divisors {
            if divisors.len() != head_dim / 2 {
                return Some(format!("rope has {} divisors for heads of {head_dim}", divisors.len()));
            }
            numbers.extend(divisors.iter().map(|divisor| ("rope divisor", f64::from(*divisor))));
        }
        let lanes = self.pairs.lanes(head_dim);
        if lanes > head_dim || !lanes.is_multiple_of(4) || lanes == 0 {
            return Some(format!("rope turns {lanes} lanes of heads of {head_dim}"));
        }
        let sections = self.sections.unwrap_or([lanes / 2, 0, 0]);
        if sections.iter().map(|&pairs| pairs as u64).sum::<u64>() != lanes as u64 / 2 {
            return Some(format!("rope has sections of {sections:?} for {lanes} lanes"));
        }
        number_fault(&numbers)
    }
}
