package hccl

import (
	"lorac/runtime/comm"
	"lorac/runtime/comm/mpi"
	"lorac/runtime/comm/star"
)

// Join has this process meet the others, for all that HCCL does not carry: those that
// lorac started over its connections, those of an MPI launcher over MPI.
func Join(o comm.Options) (comm.Transport, error) {
	if comm.Launched().Family == star.Family {
		return star.Join(o)
	}
	return mpi.Join(o)
}
