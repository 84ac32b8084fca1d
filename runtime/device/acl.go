package device

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"lorac/runtime/sys/dl"
)

// The calls of ACL (CANN's acl/acl_rt.h). Each gives an error code unless it says
// otherwise; handles are void*.
var (
	aclInit                  func(config unsafe.Pointer) int32
	aclFinalize              func() int32
	aclGetRecentErrMsg       func() string
	aclrtGetSocName          func() string
	aclrtGetDeviceCount      func(n *uint32) int32
	aclrtSetDevice           func(id int32) int32
	aclrtResetDevice         func(id int32) int32
	aclrtCreateStream        func(s *uintptr) int32
	aclrtDestroyStream       func(s uintptr) int32
	aclrtSynchronizeStream   func(s uintptr) int32
	aclrtMalloc              func(p *uintptr, n uintptr, policy int32) int32
	aclrtFree                func(p uintptr) int32
	aclrtMemcpy              func(dst uintptr, room uintptr, src uintptr, n uintptr, kind int32) int32
	aclrtBinaryLoadFromFile  func(path string, options unsafe.Pointer, bin *uintptr) int32
	aclrtBinaryGetFunction   func(bin uintptr, name string, f *uintptr) int32
	aclrtKernelArgsInit      func(f uintptr, args *uintptr) int32
	aclrtKernelArgsAppend    func(args uintptr, value unsafe.Pointer, size uintptr, param *uintptr) int32
	aclrtKernelArgsFinalize  func(args uintptr) int32
	aclrtLaunchKernelWithCfg func(f uintptr, blocks uint32, stream uintptr, cfg unsafe.Pointer, args uintptr, reserve unsafe.Pointer) int32
	aclrtGetDeviceInfo       func(id uint32, attr int32, v *int64) int32 // CANN 9
)

var required = []dl.Call{
	{Name: "aclInit", Func: &aclInit}, {Name: "aclFinalize", Func: &aclFinalize}, {Name: "aclGetRecentErrMsg", Func: &aclGetRecentErrMsg},
	{Name: "aclrtGetSocName", Func: &aclrtGetSocName}, {Name: "aclrtGetDeviceCount", Func: &aclrtGetDeviceCount},
	{Name: "aclrtSetDevice", Func: &aclrtSetDevice}, {Name: "aclrtResetDevice", Func: &aclrtResetDevice},
	{Name: "aclrtCreateStream", Func: &aclrtCreateStream}, {Name: "aclrtDestroyStream", Func: &aclrtDestroyStream},
	{Name: "aclrtSynchronizeStream", Func: &aclrtSynchronizeStream}, {Name: "aclrtMalloc", Func: &aclrtMalloc}, {Name: "aclrtFree", Func: &aclrtFree},
	{Name: "aclrtMemcpy", Func: &aclrtMemcpy}, {Name: "aclrtBinaryLoadFromFile", Func: &aclrtBinaryLoadFromFile},
	{Name: "aclrtBinaryGetFunction", Func: &aclrtBinaryGetFunction}, {Name: "aclrtKernelArgsInit", Func: &aclrtKernelArgsInit},
	{Name: "aclrtKernelArgsAppend", Func: &aclrtKernelArgsAppend}, {Name: "aclrtKernelArgsFinalize", Func: &aclrtKernelArgsFinalize},
	{Name: "aclrtLaunchKernelWithConfig", Func: &aclrtLaunchKernelWithCfg},
}

var optional = []dl.Call{{Name: "aclrtGetDeviceInfo", Func: &aclrtGetDeviceInfo}}

// load opens the library that LORAC_ACL names, else libascendcl.so.
func load() error {
	path := os.Getenv("LORAC_ACL")
	if path == "" {
		path = "libascendcl.so"
	}
	lib, err := dl.Open(path)
	if err != nil {
		return fmt.Errorf("no Ascend runtime: %w\n  = help: source set_env.sh of the CANN toolkit, or run with --device cpu", err)
	}
	if missing := lib.Bind(required); missing != nil {
		return fmt.Errorf("%s is of a CANN that is too old: it lacks %s", path, dl.Names(missing))
	}
	lib.Bind(optional)
	return nil
}

// check makes an error of a code, with ACL's own text.
func check(what string, code int32) error {
	if code == 0 {
		return nil
	}
	text := aclGetRecentErrMsg() // reading clears it
	if text == "" {
		return fmt.Errorf("%s: ACL error %d", what, code)
	}
	return fmt.Errorf("%s: ACL error %d: %s", what, code, text)
}

var errNoDevice = errors.New("no Ascend device on this machine")
