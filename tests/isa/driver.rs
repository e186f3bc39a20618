//! Mesa's Vulkan drivers without a GPU: they compile for a real chip, run nothing, and report the result through
//! `VK_KHR_pipeline_executable_properties`. RADV needs `RADV_FORCE_FAMILY` with the name of a chip; `intel.rs` sets up ANV.

use std::collections::BTreeMap;
use std::ffi::CStr;

use ash::vk;
use naga::Module;
use naga::back::spv;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use ocelli::gpu::Kernel;

/// A compiled kernel.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// Statistics of the driver, by the driver's names.
    pub(crate) counts: BTreeMap<String, u64>,
    /// Threads of a subgroup.
    pub(crate) lanes: u32,
    /// The instructions, a line each, with labels.
    pub(crate) assembly: String,
}

/// Handling of accesses past the end of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accesses {
    /// By the driver, with `robustBufferAccess2`.
    Robust,
    /// By the shader: every index is clamped, as Chrome does on Metal and Direct3D 12.
    Clamped,
}

/// An opened device. Nothing is ever freed, because the process ends soon.
pub(crate) struct Driver {
    /// The loader, which must outlive the functions.
    _entry: ash::Entry,
    device: ash::Device,
    executables: ash::khr::pipeline_executable_properties::Device,
    /// The chip and the driver's version.
    pub(crate) name: String,
}

const MISSING: &str = "Mesa's Vulkan driver, which compiles kernels for a chip that need not be there, is missing \
    (Debian's mesa-vulkan-drivers and libvulkan1): run ./build.sh setup";

impl Driver {
    /// Opens the device of a driver, with all its features.
    pub(crate) fn open(driver_id: vk::DriverId) -> Self {
        // SAFETY: loads the system's Vulkan loader, whose initialisers are what any Vulkan program runs.
        let entry = unsafe { ash::Entry::load() }.unwrap_or_else(|error| panic!("{MISSING}\n{error}"));
        let app = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
        let create = vk::InstanceCreateInfo::default().application_info(&app);
        // SAFETY: valid structures that live through the call, here and below; no handle is used after its parent's end, as
        // nothing ends.
        let instance = unsafe { entry.create_instance(&create, None) }.unwrap_or_else(|e| panic!("{MISSING}\n{e}"));
        // SAFETY: as above.
        let physical = unsafe { instance.enumerate_physical_devices() }.expect("devices");
        let found = physical.into_iter().find_map(|physical| {
            let mut driver = vk::PhysicalDeviceDriverProperties::default();
            let mut all = vk::PhysicalDeviceProperties2::default().push_next(&mut driver);
            // SAFETY: as above.
            unsafe { instance.get_physical_device_properties2(physical, &mut all) };
            let chip = text(&all.properties.device_name);
            let is_it = driver.driver_id == driver_id;
            is_it.then(|| (physical, format!("{chip}, {}", text(&driver.driver_info))))
        });
        let (physical, name) = found.expect(MISSING);
        let device = open_device(&instance, physical);
        let executables = ash::khr::pipeline_executable_properties::Device::new(&instance, &device);
        Self { _entry: entry, device, executables, name }
    }

    /// Compiles a kernel in the way that wgpu does for this driver, or with every access clamped.
    pub(crate) fn compile(&self, kernel: &Kernel, accesses: Accesses) -> Compiled {
        let pipeline = self.pipeline(kernel, accesses);
        Compiled { counts: self.counts(pipeline), lanes: self.lanes(pipeline), assembly: self.assembly(pipeline) }
    }

    fn pipeline(&self, kernel: &Kernel, accesses: Accesses) -> vk::Pipeline {
        let code = spirv(kernel, accesses);
        let binding = |index: usize, ty| {
            vk::DescriptorSetLayoutBinding::default()
                .binding(index as u32)
                .descriptor_type(ty)
                .descriptor_count(1)
                .stage_flags(vk::ShaderStageFlags::COMPUTE)
        };
        let storage = (1..=kernel.bindings().expect("bindings").len())
            .map(|index| binding(index, vk::DescriptorType::STORAGE_BUFFER));
        let bindings: Vec<_> = [binding(0, vk::DescriptorType::UNIFORM_BUFFER)].into_iter().chain(storage).collect();
        // SAFETY: naga made valid SPIR-V for this layout; structures live through the calls.
        unsafe {
            let set = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
            let sets = [self.device.create_descriptor_set_layout(&set, None).expect("a set's layout")];
            let layout = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
            let layout = self.device.create_pipeline_layout(&layout, None).expect("a layout");
            let module = vk::ShaderModuleCreateInfo::default().code(&code);
            let module = self.device.create_shader_module(&module, None).expect("a module");
            // Set by wgpu if subgroups are enabled.
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .flags(vk::PipelineShaderStageCreateFlags::ALLOW_VARYING_SUBGROUP_SIZE)
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(c"main");
            let capture = vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR
                | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR;
            let create = vk::ComputePipelineCreateInfo::default().flags(capture).stage(stage).layout(layout);
            let made = self.device.create_compute_pipelines(vk::PipelineCache::null(), &[create], None);
            made.unwrap_or_else(|(_, error)| panic!("{}: {error}", kernel.name()))[0]
        }
    }

    /// The subgroup size that the driver has chosen.
    fn lanes(&self, pipeline: vk::Pipeline) -> u32 {
        let info = vk::PipelineInfoKHR::default().pipeline(pipeline);
        // SAFETY: a pipeline of this device, made to be asked.
        let all = unsafe { self.executables.get_pipeline_executable_properties(&info) }.expect("executables");
        assert_eq!(all.len(), 1, "forms of one kernel");
        all[0].subgroup_size
    }

    /// Statistics of a pipeline with one executable.
    fn counts(&self, pipeline: vk::Pipeline) -> BTreeMap<String, u64> {
        let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline);
        // SAFETY: a pipeline of this device, made to be asked.
        let counts = unsafe { self.executables.get_pipeline_executable_statistics(&info) }.expect("statistics");
        let value = |count: &vk::PipelineExecutableStatisticKHR<'_>| match count.format {
            // SAFETY: the format says which of the union's fields holds.
            vk::PipelineExecutableStatisticFormatKHR::UINT64 => Some(unsafe { count.value.u64 }),
            _ => None,
        };
        counts.iter().filter_map(|count| Some((text(&count.name), value(count)?))).collect()
    }

    /// A pipeline's instructions as text.
    fn assembly(&self, pipeline: vk::Pipeline) -> String {
        let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline);
        // SAFETY: a pipeline of this device, made to be asked. The first call tells the sizes of all texts, the second fills them.
        let mut forms =
            unsafe { self.executables.get_pipeline_executable_internal_representations(&info) }.expect("sizes");
        let mut texts: Vec<_> = forms.iter().map(|form| vec![0_u8; form.data_size]).collect();
        for (form, bytes) in forms.iter_mut().zip(&mut texts) {
            form.p_data = bytes.as_mut_ptr().cast();
        }
        let mut count = forms.len() as u32;
        let ask = self.executables.fp().get_pipeline_executable_internal_representations_khr;
        // SAFETY: as above.
        unsafe { ask(self.device.handle(), &info, &mut count, forms.as_mut_ptr()) }.result().expect("texts");
        let at = forms.iter().position(|form| text(&form.name).ends_with("Assembly")).expect("an assembly");
        String::from_utf8_lossy(&texts[at]).trim_end_matches('\0').to_owned()
    }
}

fn open_device(instance: &ash::Instance, physical: vk::PhysicalDevice) -> ash::Device {
    let mut executables = vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default();
    let mut robustness = vk::PhysicalDeviceRobustness2FeaturesEXT::default();
    let mut of_11 = vk::PhysicalDeviceVulkan11Features::default();
    let mut of_12 = vk::PhysicalDeviceVulkan12Features::default();
    let mut of_13 = vk::PhysicalDeviceVulkan13Features::default();
    let mut features = vk::PhysicalDeviceFeatures2::default()
        .push_next(&mut executables)
        .push_next(&mut robustness)
        .push_next(&mut of_11)
        .push_next(&mut of_12)
        .push_next(&mut of_13);
    let extensions = [ash::khr::pipeline_executable_properties::NAME.as_ptr(), ash::ext::robustness2::NAME.as_ptr()];
    let queues = [vk::DeviceQueueCreateInfo::default().queue_family_index(0).queue_priorities(&[1.0])];
    // SAFETY: the device is asked for what it has just said to have; structures live through the calls.
    unsafe {
        instance.get_physical_device_features2(physical, &mut features);
        let create = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_extension_names(&extensions)
            .push_next(&mut features);
        instance.create_device(physical, &create, None).expect("a device")
    }
}

/// A kernel as naga has read it.
pub(crate) fn parsed(kernel: &Kernel) -> (Module, ModuleInfo) {
    let directives = kernel.needs().directives(false);
    let module = naga::front::wgsl::parse_str(&(directives + &kernel.source().expect("WGSL"))).expect("valid WGSL");
    let info = Validator::new(ValidationFlags::all(), Capabilities::all()).validate(&module).expect("a valid module");
    (module, info)
}

/// A kernel's SPIR-V.
fn spirv(kernel: &Kernel, accesses: Accesses) -> Vec<u32> {
    let (module, info) = parsed(kernel);
    let options = spv::Options {
        lang_version: (1, 6),
        flags: spv::WriterFlags::LABEL_VARYINGS | spv::WriterFlags::FORCE_POINT_SIZE,
        bounds_check_policies: BoundsCheckPolicies {
            index: BoundsCheckPolicy::Restrict,
            buffer: match accesses {
                Accesses::Robust => BoundsCheckPolicy::Unchecked,
                Accesses::Clamped => BoundsCheckPolicy::Restrict,
            },
            image_load: BoundsCheckPolicy::Unchecked,
            binding_array: BoundsCheckPolicy::Unchecked,
        },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::Native,
        ..spv::Options::default()
    };
    let main = spv::PipelineOptions { shader_stage: naga::ShaderStage::Compute, entry_point: "main".into() };
    spv::write_vec(&module, &info, &options, Some(&main)).expect("SPIR-V")
}

/// The text in an array of characters that the driver filled.
fn text(chars: &[std::ffi::c_char]) -> String {
    // SAFETY: the driver ends its texts with a zero, and the array was zero before.
    unsafe { CStr::from_ptr(chars.as_ptr()) }.to_string_lossy().into_owned()
}
