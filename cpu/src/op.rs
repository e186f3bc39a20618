//! Operations: the kernels, with everything besides parameters and bindings that a result depends on.

/// The number format of a matrix, as `ocelli::layout::Layout` describes it. Numbers are part of the words of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Layout {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// 8-bit integers with a scale for each 32.
    Q8_0,
    /// 6-bit integers with a scale for each 16, and a scale of those for each 256.
    Q6K,
    /// 5-bit integers with scale and minimum for each 32, and a pair of scales of those for each 256.
    Q5K,
    /// 5-bit integers with scale and minimum for each 32.
    Q5_1,
    /// 5-bit integers with a scale for each 32.
    Q5_0,
    /// 4-bit integers with scale and minimum for each 32.
    Q4_1,
    /// 4-bit integers with scale and minimum for each 32, and a pair of scales of those for each 256.
    Q4K,
    /// 4-bit indices of integers with a scale for each 32.
    Iq4Nl,
    /// 4-bit indices of integers with a scale for each 32, and a scale of those for each 256.
    Iq4Xs,
    /// 4-bit integers with a scale for each 32.
    Q4_0,
    /// 4-bit integers with a scale for each 64.
    Q4_64,
    /// 4-bit floats with a power of two for each 32.
    Mxfp4,
    /// 3-bit integers with a scale for each 16, and a scale of those for each 256.
    Q3K,
    /// 2-bit integers with scale and minimum for each 16, and a pair of scales of those for each 256.
    Q2K,
}

impl Layout {
    /// Every layout, in the order of its numbers.
    pub const ALL: [Self; 16] = [
        Self::F32,
        Self::F16,
        Self::Q8_0,
        Self::Q6K,
        Self::Q5K,
        Self::Q5_1,
        Self::Q5_0,
        Self::Q4_1,
        Self::Q4K,
        Self::Iq4Nl,
        Self::Iq4Xs,
        Self::Q4_0,
        Self::Q4_64,
        Self::Mxfp4,
        Self::Q3K,
        Self::Q2K,
    ];
}

/// The number format of keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Held {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// 8-bit integers with a scale for each head and position.
    Int8,
}

/// Storage of keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Source {
    /// Columns of matrices.
    Rows,
    /// Pages of a cache.
    Cache,
}

/// Outputs of an attention of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Results {
    /// Results.
    Plain,
    /// Results times the sigmoid of their gates.
    Gated,
    /// Partial results of a split of the context.
    Partial,
}

/// Kernels without options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "each is described by the module of its name")]
pub enum Plain {
    Accept,
    Activation,
    AddFeatures,
    Clamp,
    GateRows,
    GatedHeadNorm,
    Glu,
    LayerNorm,
    PatchMerge,
    Patchify,
    Peak,
    PoolRows,
    PositionRows,
    Sample,
    SampleFilter,
    SampleScan,
    SoftCap,
}

impl Plain {
    /// Every one, in the order of its numbers, with its name as a kernel.
    pub const ALL: [(Self, &'static str); 17] = [
        (Self::Accept, "accept"),
        (Self::Activation, "activation"),
        (Self::AddFeatures, "add_features"),
        (Self::Clamp, "clamp"),
        (Self::GateRows, "gate_rows"),
        (Self::GatedHeadNorm, "gated_head_norm"),
        (Self::Glu, "glu"),
        (Self::LayerNorm, "layer_norm"),
        (Self::PatchMerge, "patch_merge"),
        (Self::Patchify, "patchify"),
        (Self::Peak, "peak"),
        (Self::PoolRows, "pool_rows"),
        (Self::PositionRows, "position_rows"),
        (Self::Sample, "sample"),
        (Self::SampleFilter, "sample_filter"),
        (Self::SampleScan, "sample_scan"),
        (Self::SoftCap, "soft_cap"),
    ];
}

/// Norms of the heads that are appended to a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Norms {
    /// None.
    None,
    /// Norms of queries and keys.
    Plain,
    /// Norms of values, too, without a weight.
    Values,
    /// Norms of queries and keys; values are the keys, normed without a weight and not rotated.
    Keys,
}

/// Options of the scores of an attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scores {
    /// Only the last `window` positions are seen.
    pub is_windowed: bool,
    /// Scores are capped by a hyperbolic tangent.
    pub is_capped: bool,
}

/// A kernel with its options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the kernels of these names in `ocelli::kernels` describe them")]
pub enum Op {
    Attention {
        head_dim: u16,
        source: Source,
        held: Held,
        is_gated: bool,
        scores: Scores,
    },
    AttentionJoin {
        head_dim: u16,
        is_gated: bool,
    },
    /// `tile` positions are the unit of splits.
    AttentionStep {
        head_dim: u16,
        held: Held,
        results: Results,
        scores: Scores,
        tile: u16,
    },
    DeltaScan {
        dim: u16,
    },
    EmbedRows {
        layout: Layout,
        parts: u8,
        is_scaled: bool,
    },
    /// Inputs of products are in 8-bit integers if it `rounds` and the layout is quantised.
    GatedMatvec {
        layout: Layout,
        has_norm: bool,
        rounds: bool,
    },
    Matmul {
        layout: Layout,
        rounds: bool,
    },
    Matvec {
        layout: Layout,
        has_norm: bool,
        rounds: bool,
    },
    Plain(Plain),
    QkvMatvec {
        layout: Layout,
        head_dim: u16,
        is_interleaved: bool,
        held: Held,
        has_bias: bool,
        rounds: bool,
    },
    RmsNorm {
        adds: bool,
        scales: bool,
    },
    Rope {
        is_rotated: bool,
        has_norms: bool,
        held: Held,
    },
    RopeAppend {
        head_dim: u16,
        norms: Norms,
        ropes: u8,
        held: Held,
    },
}
