// Gates of an attention's results, stored in the rows of the queries.

// Multiplies a vector of a token's results by the sigmoid of its gates.
fn gated(result: vec4f, token: u32, at: u32) -> vec4f {
  // The bound keeps exp finite.
  return result / (1.0 + exp(min(-q[token * p.q_stride4 + p.gate_offset4 + at], vec4f(80.0))));
}
