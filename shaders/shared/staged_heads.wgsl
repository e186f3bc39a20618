// Slices of queries, keys and values in workgroup memory. Threads load the data of the next slice 16 bytes at a time, which are PACK vectors of
// four numbers, and keep them in registers until there is room. Past the last query, key or vector, the last one is loaded again.
//: const HEAD_DIM4 THREADS LANES ROWS KEYS COLUMNS VALUES PACK QUERY_LOADS KEY_LOADS VALUE_LOADS

// Plus one, which moves neighbours that write other keys or values of a group to different banks.
const ROW_GROUPS: u32 = ROWS / 4u + 1u;
const PACKS: u32 = (HEAD_DIM4 + PACK - 1u) / PACK; // of a head
const ABREAST: u32 = THREADS / 4u; // queries or keys that the threads load together, four neighbours 64 bytes of each
const SPAN: u32 = THREADS / VALUES; // threads that load a value together

// A vector of all queries, and of all keys of a tile. Nested arrays, so that a device checks bounds once for many accesses. The gap moves
// neighbours that write different vectors to different banks.
struct Queries {
  at: array<array<vec4f, 4>, ROW_GROUPS>,
  gap: array<vec4f, 2>,
}

struct Keys {
  at: array<array<vec4f, LANES>, KEYS>, // a thread's keys follow one another, its neighbours' vectors lie beside its own
  gap: array<vec4f, 2>,
}

var<workgroup> query_slice: array<Queries, 4>;
var<workgroup> key_slice: array<Keys, 4>;
var<workgroup> value_slice: array<array<array<vec4f, LANES>, COLUMNS>, VALUES>;

var<private> query_head$n: u32; //: each n QUERY_LOADS // where a thread's queries begin
var<private> query$n: vec4f; //: each n QUERY_LOADS
var<private> key$n: Packed; //: each n KEY_LOADS
var<private> value$n: Packed; //: each n VALUE_LOADS

// Index of the first vector of a query row, and of the keys and the values of a cache row.
fn query_head(row: u32, kv_head: u32) -> u32 {
  return row / p.group * p.q_stride4 + p.q_offset4 + (kv_head * p.group + row % p.group) * HEAD_DIM4;
}

fn key_head(row: u32, kv_head: u32) -> u32 {
  return row * p.k_stride4 + p.k_offset4 + kv_head * HEAD_DIM4;
}

fn value_head(row: u32, kv_head: u32) -> u32 {
  return row * p.v_stride4 + p.v_offset4 + kv_head * HEAD_DIM4;
}

// Clamps an index to the last of a head, if the heads are not whole multiples of `step`.
fn bounded(at: u32, count: u32, step: u32) -> u32 {
  return select(at, min(at, count - 1u), count % step != 0u);
}

// Vectors that a thread loads for a slice: of a query, a key of the tile and a pack of it, a value of the slice.
fn query_vector(slice: u32, thread: u32) -> u32 {
  return bounded(slice * 4u + thread % 4u, HEAD_DIM4, 4u);
}

fn key_of_tile(n: u32, thread: u32) -> u32 {
  let column = thread / 4u;
  return column % LANES * KEYS + column / LANES + n * (ABREAST / LANES);
}

fn key_pack(slice: u32, thread: u32) -> u32 {
  return bounded(slice / PACK * 4u + thread % 4u, PACKS, 4u);
}

fn value_pack(n: u32, thread: u32) -> u32 {
  return bounded(thread % SPAN + n * SPAN, PACKS, SPAN);
}

// Sets the queries that a thread loads, among those of the workgroup from `first` to `last`.
fn choose_queries(first: u32, last: u32, kv_head: u32, thread: u32) {
  query_head$n = query_head(min(first + thread / 4u + $nu * ABREAST, last), kv_head); //: each n QUERY_LOADS
}

// Loads queries and keys of a tile whose first key is in cache row `row`, and its last one in `row + last`.
fn load_scores(slice: u32, row: u32, last: u32, kv_head: u32, thread: u32) {
  query$n = q[query_head$n + query_vector(slice, thread)]; //: each n QUERY_LOADS
  if slice % PACK == 0u {
    key$n = k[key_head(row + min(key_of_tile($nu, thread), last), kv_head) / PACK + key_pack(slice, thread)]; //: each n KEY_LOADS
  }
}

fn publish_scores(slice: u32, thread: u32) {
  let part = thread % 4u;
  let column = thread / 4u;
//: each n QUERY_LOADS
  if ROWS >= ABREAST || column < ROWS {
    query_slice[part].at[column / 4u + $nu * (ABREAST / 4u)][column % 4u] = within(query$n, slice * 4u + part);
  }
//: end
  if part * PACK / 4u == slice % PACK {
//: each v PACK
    let at$v = part * PACK % 4u + $vu;
    key_slice[at$v].at[column / LANES + $nu * (ABREAST / LANES)][column % LANES] = within(vector$v(key$n), slice * 4u + at$v); //: each n KEY_LOADS
//: end
  }
}

fn load_values(first: u32, row: u32, last: u32, kv_head: u32, thread: u32) {
  let at = value_head(row + min(first + thread / SPAN, last), kv_head) / PACK;
  value$n = v[at + value_pack($nu, thread)]; //: each n VALUE_LOADS
}

fn publish_values(thread: u32) {
//: each n VALUE_LOADS
  if thread % SPAN + $nu * SPAN < PACKS {
//: each v PACK
    let at$v = (thread % SPAN + $nu * SPAN) * PACK + $vu;
    value_slice[thread / SPAN][at$v / LANES][at$v % LANES] = vector$v(value$n);
//: end
  }
//: end
}

// Vector `at` of a head, or zeros past its last.
fn within(x: vec4f, at: u32) -> vec4f {
  return select(vec4f(0.0), x, HEAD_DIM4 % 4u == 0u || at < HEAD_DIM4);
}
