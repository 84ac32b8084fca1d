package hccl

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"lorac/runtime/exit"
	"lorac/runtime/sys/dl"
)

// rootBytes is the size of HcclRootInfo.
const rootBytes = 4108

// Types of numbers.
const (
	typeFP32  = 4
	typeUint8 = 7
)

// library is the calls of HCCL (CANN's hccl/hccl.h) that are used. They give an error
// code unless it says otherwise; handles are void*.
type library struct {
	path        string
	getRoot     func(root unsafe.Pointer) int32
	initRoot    func(ranks uint32, root unsafe.Pointer, rank uint32, comm *uintptr) int32
	initCluster func(table string, rank uint32, comm *uintptr) int32
	send        func(buf unsafe.Pointer, count uint64, dtype int32, peer uint32, comm, stream uintptr) int32
	recv        func(buf unsafe.Pointer, count uint64, dtype int32, peer uint32, comm, stream uintptr) int32
	rankSize    func(comm uintptr, n *uint32) int32
	destroy     func(comm uintptr) int32
	errorText   func(code int32) string
}

const name = "libhccl.so"

// LibraryEnv names another library.
const LibraryEnv = "LORAC_HCCL"

// candidates are the files that may be HCCL, in order: the one that LORAC_HCCL names
// alone, else what the loader finds, else that of the toolkit.
func candidates() []string {
	if path := os.Getenv(LibraryEnv); path != "" {
		return []string{path}
	}
	list := []string{name}
	for _, env := range []string{"ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME"} {
		if dir := os.Getenv(env); dir != "" {
			list = append(list, filepath.Join(dir, "lib64", name))
		}
	}
	return list
}

// open opens HCCL and binds its calls.
func open() (*library, error) {
	paths := candidates()
	lib, err := dl.OpenFirst(paths, func(err error) bool { return strings.Contains(err.Error(), name+": cannot open") })
	if err != nil {
		return nil, exit.Failedf("several devices need HCCL, the library of CANN that moves data between them: %w\n"+
			"  = help: source set_env.sh of the CANN toolkit, name it by %s=/path/%s, or run one process with --workers 1: the result is the same", err, LibraryEnv, name)
	}
	l := &library{path: lib.Path}
	missing := lib.Bind([]dl.Call{
		{Name: "HcclGetRootInfo", Func: &l.getRoot}, {Name: "HcclCommInitRootInfo", Func: &l.initRoot}, {Name: "HcclCommInitClusterInfo", Func: &l.initCluster},
		{Name: "HcclSend", Func: &l.send}, {Name: "HcclRecv", Func: &l.recv}, {Name: "HcclGetRankSize", Func: &l.rankSize},
		{Name: "HcclCommDestroy", Func: &l.destroy}, {Name: "HcclGetErrorString", Func: &l.errorText},
	})
	if missing != nil {
		return nil, exit.Failedf("%s is of a CANN that is too old: it lacks %s\n  = help: CANN 8.1 and later have them", lib.Path, strings.Join(missing, ", "))
	}
	return l, nil
}

// fault is the error of a code.
func (l *library) fault(what string, code int32) error {
	if code == 0 {
		return nil
	}
	return exit.Failedf("%s failed: %s [HCCL error %d]", what, strings.TrimSpace(l.errorText(code)), code)
}

// String is the library for people.
func (l *library) String() string { return fmt.Sprintf("HCCL (%s)", filepath.Base(l.path)) }
