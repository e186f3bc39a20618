//! Microsoft's compiler of Direct3D 12, which needs no GPU: `IDxcCompiler3` of `libdxcompiler.so`, by the tables of its methods. `dxcapi.h` has the
//! numbers and structures.

use std::ffi::{CString, c_int, c_void};
use std::path::Path;
use std::ptr::null_mut;

use naga::back::hlsl::{FragmentEntryPoint, Options, PipelineOptions, ShaderModel, Writer};
use ocelli::gpu::Kernel;

use crate::driver::parsed;

/// An object: it begins with the address of the table of its methods.
type Object = *mut *const *const c_void;

/// A COM identifier.
#[repr(C)]
struct Id(u32, u16, u16, [u8; 8]);

const COMPILER_CLASS: Id = Id(0x73e2_2d93, 0xe6ce, 0x47f3, [0xb5, 0xbf, 0xf0, 0x66, 0x4f, 0x39, 0xc1, 0xb0]);
const COMPILER: Id = Id(0x228b_4687, 0x5a6a, 0x4730, [0x90, 0x0c, 0x97, 0x02, 0xb2, 0x20, 0x3f, 0x54]);
const RESULT: Id = Id(0x5834_6cda, 0xdde7, 0x4497, [0x94, 0x61, 0x6f, 0x87, 0xaf, 0x5e, 0x06, 0x59]);

const UTF8: u32 = 65001;
/// Errors before the one that names the cause.
const GENERIC: [&str; 2] = ["validation errors", "Module bitcode is invalid."];

/// `DxcBuffer`.
#[repr(C)]
struct Buffer {
    bytes: *const c_void,
    len: usize,
    encoding: u32,
}

/// Numbers of methods. The first three of every interface are those of `IUnknown`.
const COMPILE: usize = 3;
const DISASSEMBLE: usize = 4;
const STATUS: usize = 3;
const MAIN_RESULT: usize = 4;
const ERRORS: usize = 5;
const BLOB_BYTES: usize = 3;
const BLOB_LEN: usize = 4;

type Create = unsafe extern "C" fn(*const Id, *const Id, *mut Object) -> c_int;
type Compile =
    unsafe extern "C" fn(Object, *const Buffer, *const *const i32, u32, *mut c_void, *const Id, *mut Object) -> c_int;
type Disassemble = unsafe extern "C" fn(Object, *const Buffer, *const Id, *mut Object) -> c_int;
type Status = unsafe extern "C" fn(Object, *mut c_int) -> c_int;
type Part = unsafe extern "C" fn(Object, *mut Object) -> c_int;
type Bytes = unsafe extern "C" fn(Object) -> *const u8;
type Len = unsafe extern "C" fn(Object) -> usize;

/// A method of an object.
///
/// # Safety
/// `M` is the type of this method of the object's interface.
unsafe fn method<M: Copy>(object: Object, number: usize) -> M {
    // SAFETY: the table has the addresses of methods; the caller gives the type.
    unsafe { std::mem::transmute_copy(&*(*object).add(number)) }
}

/// The compiler. Neither it nor its results are ever freed, because the process ends soon.
pub(crate) struct Dxc(Object);

impl Dxc {
    pub(crate) fn open() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/.tools/dxc/compushady/backends/libdxcompiler_x86_64.so");
        assert!(Path::new(path).exists(), "{path} is missing: run ./build.sh setup");
        let path = CString::new(path).expect("a path without zeros");
        // SAFETY: paths and names that end; the library's initialisers are what every user of it runs.
        let create = unsafe {
            let library = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
            assert!(!library.is_null(), "{path:?} does not load");
            libc::dlsym(library, c"DxcCreateInstance".as_ptr())
        };
        assert!(!create.is_null(), "{path:?} has no DxcCreateInstance");
        let mut compiler = null_mut();
        // SAFETY: the function of this name has this type.
        let code =
            unsafe { std::mem::transmute::<*mut c_void, Create>(create)(&COMPILER_CLASS, &COMPILER, &mut compiler) };
        assert_eq!(code, 0, "no compiler");
        Self(compiler)
    }

    /// Compiles HLSL to the text of DXIL.
    ///
    /// # Errors
    /// The compiler's first error that names a cause.
    pub(crate) fn compile(&self, hlsl: &str) -> Result<String, String> {
        // The options that wgpu uses. A character has four bytes here.
        let words = ["-E", "main", "-T", "cs_6_4", "-HV", "2018", "-no-warnings", "-O3", "-enable-16bit-types"];
        let wide = words.map(|word| word.chars().map(|c| c as i32).chain([0]).collect::<Vec<_>>());
        let addresses: Vec<_> = wide.iter().map(|word| word.as_ptr()).collect();
        let source = Buffer { bytes: hlsl.as_ptr().cast(), len: hlsl.len(), encoding: UTF8 };
        let mut result = null_mut();
        // SAFETY: methods of `IDxcCompiler3` and `IDxcResult`; all that they are given outlives the calls.
        unsafe {
            let compile: Compile = method(self.0, COMPILE);
            let count = addresses.len() as u32;
            let code = compile(self.0, &source, addresses.as_ptr(), count, null_mut(), &RESULT, &mut result);
            assert_eq!(code, 0, "the compiler does not run");
            let mut status = 0;
            method::<Status>(result, STATUS)(result, &mut status);
            if status != 0 {
                let said = text(part(result, ERRORS));
                let mut errors = said.lines().filter_map(|line| Some(line.split_once("error: ")?.1));
                let error = errors.find(|error| !GENERIC.contains(error));
                return Err(error.unwrap_or(&said).to_owned());
            }
            let code = part(result, MAIN_RESULT);
            let code = Buffer { bytes: bytes(code).as_ptr().cast(), len: bytes(code).len(), encoding: 0 };
            let mut shown = null_mut();
            let disassemble: Disassemble = method(self.0, DISASSEMBLE);
            assert_eq!(disassemble(self.0, &code, &RESULT, &mut shown), 0, "no text");
            Ok(text(part(shown, MAIN_RESULT)))
        }
    }
}

/// A blob of a result.
///
/// # Safety
/// `result` is an `IDxcResult`, and `number` a method of it that gives a blob.
unsafe fn part(result: Object, number: usize) -> Object {
    let mut blob = null_mut();
    // SAFETY: the caller's promise.
    let code = unsafe { method::<Part>(result, number)(result, &mut blob) };
    assert!(code == 0 && !blob.is_null(), "no part {number}");
    blob
}

/// # Safety
/// `blob` is an `IDxcBlob`, which is never freed.
unsafe fn bytes(blob: Object) -> &'static [u8] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(method::<Bytes>(blob, BLOB_BYTES)(blob), method::<Len>(blob, BLOB_LEN)(blob)) }
}

/// # Safety
/// The same as for [`bytes`].
unsafe fn text(blob: Object) -> String {
    // SAFETY: the caller's promise.
    String::from_utf8_lossy(unsafe { bytes(blob) }).trim_end_matches('\0').to_owned()
}

/// A kernel's HLSL, as wgpu has naga write it.
pub(crate) fn hlsl(kernel: &Kernel) -> String {
    let (module, info) = parsed(kernel);
    let options = Options { shader_model: ShaderModel::V6_4, ..Options::default() };
    let main = PipelineOptions { entry_point: Some((naga::ShaderStage::Compute, "main".into())) };
    let mut text = String::new();
    let written = Writer::new(&mut text, &options, &main).write(&module, &info, None::<&FragmentEntryPoint<'_>>);
    written.unwrap_or_else(|error| panic!("{}: {error}", kernel.name()));
    text
}
