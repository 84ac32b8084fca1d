package mpi

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"unsafe"

	"lorac/runtime/comm"
	"lorac/runtime/sys/dl"
)

// library is the open MPI library: its interface and the addresses of its functions.
type library struct {
	abi
	file    string
	version string // "4.1.4"
	product string // "Open MPI"

	initThread, finalize, abort, errorString, setErrhandler, rank, size, isend, irecv, test uintptr
	out                                                                                     *results

	exit, yield uintptr // of the C library
}

// results are where calls write. They are part of an object that lives on the heap: a
// stack may move during a call.
type results struct {
	n    [3]int32
	text [8192]byte
}

// names are those of libraries, the launcher's family first.
func names(family string) []string {
	open, ich := []string{"libmpi.so.40"}, []string{"libmpi.so.12", "libmpich.so.12", "libmpi_abi.so.1"}
	if runtime.GOOS == "darwin" {
		open, ich = []string{"libmpi.40.dylib"}, []string{"libmpi.12.dylib", "libmpich.12.dylib", "libmpi_abi.1.dylib"}
	}
	if family == "MPICH" {
		return append(ich, open...)
	}
	return append(open, ich...)
}

// candidates are the paths and names to try in turn.
func candidates(l comm.Launch) []string {
	if p := os.Getenv("LORAC_MPI"); p != "" {
		return []string{p}
	}
	var list []string
	if p := comm.LauncherPath(); p != "" {
		for _, n := range names(l.Family) {
			for _, dir := range []string{"lib", "lib64", "lib/release"} {
				path := filepath.Join(filepath.Dir(p), "..", dir, n)
				if _, err := os.Stat(path); err == nil {
					list = append(list, path)
				}
			}
		}
	}
	return append(list, names(l.Family)...)
}

// leaveSignals has UCX, over which MPICH may talk, leave this process its handlers of
// signals: it would take SIGHUP for its own, and those of faults, which Go makes panics.
// It reads the environment of C when it is loaded.
func leaveSignals() {
	libc, err := dl.Open("libc.so.6")
	if err != nil {
		return
	}
	setenv := libc.Symbol("setenv")
	if setenv == 0 {
		return
	}
	for _, v := range ucx {
		name := uintptr(unsafe.Pointer(&v[0]))
		dl.Invoke(setenv, name, name+uintptr(bytes.IndexByte(v, 0)+1), 0)
	}
}

// ucx are names and values of C. They are no local arrays, which may move during a call.
var ucx = [][]byte{[]byte("UCX_DEBUG_SIGNO\x000\x00"), []byte("UCX_ERROR_SIGNALS\x00\x00"), []byte("UCX_HANDLE_ERRORS\x00none\x00")}

// open is the first library that can be used.
func open(l comm.Launch) (*library, error) {
	leaveSignals()
	var errs []error
	for _, path := range candidates(l) {
		lib, err := dl.Open(path)
		if err == nil {
			var m *library
			if m, err = bind(lib); err == nil {
				return m, nil
			}
		}
		errs = append(errs, fmt.Errorf("%s: %w", path, err))
	}
	return nil, errors.Join(errs...)
}

func bind(lib *dl.Library) (*library, error) {
	m := &library{file: filepath.Base(lib.Path), out: new(results)}
	var getVersion uintptr
	for _, f := range []struct {
		name string
		at   *uintptr
	}{
		{"MPI_Init_thread", &m.initThread}, {"MPI_Finalize", &m.finalize}, {"MPI_Abort", &m.abort}, {"MPI_Error_string", &m.errorString},
		{"MPI_Comm_set_errhandler", &m.setErrhandler}, {"MPI_Comm_rank", &m.rank}, {"MPI_Comm_size", &m.size},
		{"MPI_Isend", &m.isend}, {"MPI_Irecv", &m.irecv}, {"MPI_Test", &m.test}, {"MPI_Get_library_version", &getVersion},
		{"exit", &m.exit}, {"sched_yield", &m.yield}, // a look-up covers the libraries that it needs
	} {
		if *f.at = lib.Symbol(f.name); *f.at == 0 {
			return nil, fmt.Errorf("it has no %s", f.name)
		}
	}
	text := m.text(func(buf, n uintptr) uintptr { return dl.Invoke(getVersion, buf, n) })
	a, err := interfaceOf(lib, m.out, text)
	if err != nil {
		return nil, err
	}
	m.abi, m.product = a, product(text, a.name)
	m.version = regexp.MustCompile(`\d+(\.\d+)+`).FindString(text)
	return m, nil
}

// product is the library's own name.
func product(version, otherwise string) string {
	for _, p := range []string{"Intel", "MVAPICH", "CRAY", "Open MPI", "MPICH"} {
		if strings.Contains(version, p) {
			return strings.Replace(p, "Intel", "Intel MPI", 1)
		}
	}
	return otherwise
}

// String is the library for people.
func (m *library) String() string { return fmt.Sprintf("%s %s (%s)", m.product, m.version, m.file) }

// text is what a call writes into a buffer.
func (m *library) text(call func(buf, n uintptr) uintptr) string {
	clear(m.out.text[:])
	call(uintptr(unsafe.Pointer(&m.out.text)), uintptr(unsafe.Pointer(&m.out.n)))
	n := min(max(int(m.out.n[0]), 0), len(m.out.text))
	return strings.TrimRight(strings.TrimSpace(string(m.out.text[:n])), "\x00")
}

// check is the error of a code that a call returned.
func (m *library) check(what string, code uintptr) error {
	if int32(code) == 0 {
		return nil
	}
	text := m.text(func(buf, n uintptr) uintptr { return dl.Invoke(m.errorString, uintptr(int32(code)), buf, n) })
	return fmt.Errorf("%s: %s", what, strings.Join(strings.Fields(text), " "))
}
