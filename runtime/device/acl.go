package device

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"lorac/runtime/sys/dl"
)

// The calls of ACL (CANN's acl/acl.h and acl/acl_rt.h). Each gives an error code
// unless it says otherwise; handles are void*.
var (
	aclInit                     func(config unsafe.Pointer) int32
	aclFinalize                 func() int32
	aclGetRecentErrMsg          func() string // of this thread; reading clears it
	aclrtGetSocName             func() string
	aclrtGetDeviceCount         func(n *uint32) int32
	aclrtSetDevice              func(id int32) int32
	aclrtResetDevice            func(id int32) int32
	aclrtCreateStream           func(s *uintptr) int32
	aclrtDestroyStream          func(s uintptr) int32
	aclrtSynchronizeStream      func(s uintptr) int32
	aclrtMalloc                 func(p *uintptr, n uintptr, policy int32) int32
	aclrtFree                   func(p uintptr) int32
	aclrtMemcpy                 func(to uintptr, room uintptr, from uintptr, n uintptr, kind int32) int32
	aclrtBinaryLoadFromFile     func(path string, options unsafe.Pointer, bin *uintptr) int32
	aclrtBinaryGetFunction      func(bin uintptr, name string, f *uintptr) int32
	aclrtKernelArgsInit         func(f uintptr, list *uintptr) int32
	aclrtKernelArgsFinalize     func(list uintptr) int32
	aclrtLaunchKernelWithConfig func(f uintptr, blocks uint32, stream uintptr, cfg unsafe.Pointer, list uintptr, reserve unsafe.Pointer) int32

	// int32 aclrtKernelArgsAppend(list, void* value, size_t size, void** param), which
	// is called for each argument of each launch.
	aclrtKernelArgsAppend uintptr

	// What an older CANN, or a stand-in, may not have; nil then.
	aclrtGetDeviceInfo                 func(id uint32, attr int32, v *int64) int32
	aclGetDeviceCapability             func(id uint32, info int32, v *int64) int32
	aclrtSetDeviceSatMode              func(mode int32) int32
	aclrtGetMemInfo                    func(attr int32, free, total *uintptr) int32
	aclsysGetCANNVersion               func(pkg int32, v unsafe.Pointer) int32
	aclrtSynchronizeStreamWithTimeout  func(s uintptr, ms int32) int32
	aclrtDestroyStreamForce            func(s uintptr) int32
	aclrtBinaryUnLoad                  func(bin uintptr) int32
	aclrtMallocHost                    func(p *unsafe.Pointer, n uintptr) int32
	aclrtFreeHost                      func(p unsafe.Pointer) int32
	aclrtMemcpyAsync                   func(to uintptr, room uintptr, from uintptr, n uintptr, kind int32, s uintptr) int32
	aclrtMemsetAsync                   func(p uintptr, room uintptr, v int32, n uintptr, s uintptr) int32
	aclrtCreateEvent                   func(e *uintptr) int32
	aclrtDestroyEvent                  func(e uintptr) int32
	aclrtRecordEvent                   func(e, s uintptr) int32
	aclrtEventElapsedTime              func(ms *float32, from, to uintptr) int32
	aclrtSetExceptionInfoCallback      func(f uintptr) int32
	aclrtGetTaskIdFromExceptionInfo    func(info uintptr) uint32 // the id, no error
	aclrtGetErrorCodeFromExceptionInfo func(info uintptr) uint32 // the code of the exception
	aclrtGetThreadLastTaskId           func(id *uint32) int32
)

var required = []dl.Call{
	{Name: "aclInit", Func: &aclInit}, {Name: "aclFinalize", Func: &aclFinalize}, {Name: "aclGetRecentErrMsg", Func: &aclGetRecentErrMsg},
	{Name: "aclrtGetSocName", Func: &aclrtGetSocName}, {Name: "aclrtGetDeviceCount", Func: &aclrtGetDeviceCount},
	{Name: "aclrtSetDevice", Func: &aclrtSetDevice}, {Name: "aclrtResetDevice", Func: &aclrtResetDevice},
	{Name: "aclrtCreateStream", Func: &aclrtCreateStream}, {Name: "aclrtDestroyStream", Func: &aclrtDestroyStream},
	{Name: "aclrtSynchronizeStream", Func: &aclrtSynchronizeStream}, {Name: "aclrtMalloc", Func: &aclrtMalloc}, {Name: "aclrtFree", Func: &aclrtFree},
	{Name: "aclrtMemcpy", Func: &aclrtMemcpy}, {Name: "aclrtBinaryLoadFromFile", Func: &aclrtBinaryLoadFromFile},
	{Name: "aclrtBinaryGetFunction", Func: &aclrtBinaryGetFunction}, {Name: "aclrtKernelArgsInit", Func: &aclrtKernelArgsInit}, {Name: "aclrtKernelArgsFinalize", Func: &aclrtKernelArgsFinalize},
	{Name: "aclrtLaunchKernelWithConfig", Func: &aclrtLaunchKernelWithConfig},
}

var optional = []dl.Call{
	{Name: "aclrtGetDeviceInfo", Func: &aclrtGetDeviceInfo}, {Name: "aclGetDeviceCapability", Func: &aclGetDeviceCapability},
	{Name: "aclrtSetDeviceSatMode", Func: &aclrtSetDeviceSatMode},
	{Name: "aclrtGetMemInfo", Func: &aclrtGetMemInfo}, {Name: "aclsysGetCANNVersion", Func: &aclsysGetCANNVersion},
	{Name: "aclrtSynchronizeStreamWithTimeout", Func: &aclrtSynchronizeStreamWithTimeout},
	{Name: "aclrtDestroyStreamForce", Func: &aclrtDestroyStreamForce}, {Name: "aclrtBinaryUnLoad", Func: &aclrtBinaryUnLoad},
	{Name: "aclrtMallocHost", Func: &aclrtMallocHost}, {Name: "aclrtFreeHost", Func: &aclrtFreeHost},
	{Name: "aclrtMemcpyAsync", Func: &aclrtMemcpyAsync}, {Name: "aclrtMemsetAsync", Func: &aclrtMemsetAsync},
	{Name: "aclrtCreateEvent", Func: &aclrtCreateEvent}, {Name: "aclrtDestroyEvent", Func: &aclrtDestroyEvent},
	{Name: "aclrtRecordEvent", Func: &aclrtRecordEvent}, {Name: "aclrtEventElapsedTime", Func: &aclrtEventElapsedTime},
	{Name: "aclrtSetExceptionInfoCallback", Func: &aclrtSetExceptionInfoCallback},
	{Name: "aclrtGetTaskIdFromExceptionInfo", Func: &aclrtGetTaskIdFromExceptionInfo},
	{Name: "aclrtGetErrorCodeFromExceptionInfo", Func: &aclrtGetErrorCodeFromExceptionInfo},
	{Name: "aclrtGetThreadLastTaskId", Func: &aclrtGetThreadLastTaskId},
}

// forget takes the optional calls back, before another library is loaded.
func forget() {
	aclrtGetDeviceInfo, aclGetDeviceCapability, aclrtGetMemInfo, aclsysGetCANNVersion, aclrtSetDeviceSatMode = nil, nil, nil, nil, nil
	aclrtSynchronizeStreamWithTimeout, aclrtDestroyStreamForce, aclrtBinaryUnLoad = nil, nil, nil
	aclrtMallocHost, aclrtFreeHost, aclrtMemcpyAsync, aclrtMemsetAsync = nil, nil, nil, nil
	aclrtCreateEvent, aclrtDestroyEvent, aclrtRecordEvent, aclrtEventElapsedTime = nil, nil, nil, nil
	aclrtSetExceptionInfoCallback, aclrtGetTaskIdFromExceptionInfo, aclrtGetErrorCodeFromExceptionInfo, aclrtGetThreadLastTaskId = nil, nil, nil, nil
}

const library = "libascendcl.so"

// libraries are the files that may be ACL, in order: the one that LORAC_ACL names
// alone, else what the loader finds, else that of the toolkit.
func libraries() []string {
	if path := os.Getenv("LORAC_ACL"); path != "" {
		return []string{path}
	}
	list := []string{library}
	for _, env := range []string{"ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME"} {
		if dir := os.Getenv(env); dir != "" {
			list = append(list, filepath.Join(dir, "lib64", library))
		}
	}
	return list
}

// loaded is the library that the calls belong to.
var loaded string

// load opens ACL and binds its calls.
func load() error {
	paths := libraries()
	lib, err := dl.OpenFirst(paths, func(err error) bool { return strings.Contains(err.Error(), library+": cannot open") })
	if err != nil {
		return unloadable(paths[0], err)
	}
	forget()
	missing := lib.Bind(required)
	if aclrtKernelArgsAppend = lib.Symbol("aclrtKernelArgsAppend"); aclrtKernelArgsAppend == 0 {
		missing = append(missing, "aclrtKernelArgsAppend")
	}
	if missing != nil {
		return fmt.Errorf("%s is of a CANN that is too old: it lacks %s\n  = help: CANN 8.1 and later have them", lib.Path, strings.Join(missing, ", "))
	}
	lib.Bind(optional)
	loaded = lib.Path
	return nil
}

// unloadable says what the loader's error means.
func unloadable(path string, err error) error {
	text := err.Error()
	help := "source set_env.sh of the CANN toolkit, or compile with --device cpu"
	switch {
	case strings.Contains(text, "libascend_hal.so") || strings.Contains(text, "libdrvdsmi"):
		return fmt.Errorf("no Ascend driver: %s needs it, and the loader says %s\n  = help: install the NPU driver, add its lib64/driver to LD_LIBRARY_PATH, or compile with --device cpu", library, text)
	case os.Getenv("LORAC_ACL") != "":
		return fmt.Errorf("no Ascend runtime: LORAC_ACL names %s, and the loader says %s\n  = help: unset LORAC_ACL, or compile with --device cpu", path, text)
	}
	return fmt.Errorf("no Ascend runtime: %s\n  = help: %s", text, help)
}
