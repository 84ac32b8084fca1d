package mpi

import (
	"fmt"
	"strings"
	"unsafe"

	"lorac/runtime/sys/dl"
)

// abi is the values of one binary interface, as arguments. A handle of 32 bits is the
// low half of one, in memory too: all our machines are little-endian.
type abi struct {
	name         string
	world        uintptr
	bytes        uintptr // MPI_BYTE
	errorsReturn uintptr
	statusIgnore uintptr
	funneled     uintptr
}

var (
	mpich    = abi{name: "MPICH", world: 0x44000000, bytes: 0x4c00010d, errorsReturn: 0x54000001, statusIgnore: 1, funneled: 1}
	standard = abi{name: "MPI 5 ABI", world: 0x101, bytes: 0x247, errorsReturn: 0x143, statusIgnore: 0, funneled: 1024}
)

// interfaceOf is the interface of an open library.
func interfaceOf(lib *dl.Library, out *results, version string) (abi, error) {
	if world := lib.Symbol("ompi_mpi_comm_world"); world != 0 {
		a := abi{name: "Open MPI", world: world, bytes: lib.Symbol("ompi_mpi_byte"), errorsReturn: lib.Symbol("ompi_mpi_errors_return"), funneled: 1}
		if a.bytes == 0 || a.errorsReturn == 0 {
			return a, fmt.Errorf("it lacks symbols of Open MPI")
		}
		return a, nil
	}
	if f := lib.Symbol("MPI_Abi_get_version"); f != 0 {
		dl.Invoke(f, uintptr(unsafe.Pointer(&out.n[0])), uintptr(unsafe.Pointer(&out.n[1])))
		if out.n[0] == 1 {
			return standard, nil
		}
	}
	for _, known := range []string{"MPICH", "Intel", "MVAPICH", "CRAY"} {
		if strings.Contains(strings.ToUpper(version), strings.ToUpper(known)) {
			return mpich, nil
		}
	}
	return abi{}, fmt.Errorf("it is an MPI of no known kind: %.60s", version)
}
