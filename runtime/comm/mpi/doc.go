// Package mpi is the transport of an installed MPI library, which it opens at run time
// without cgo. Programs that import it are linked dynamically.
//
// Three binary interfaces are known: Open MPI's, whose handles are addresses of globals;
// MPICH's, whose handles are numbers of 32 bits (Intel MPI, MVAPICH and Cray MPI have
// it, too); and that of the MPI 5 standard (libmpi_abi).
//
// The library must be the launcher's: another one would see as many worlds of one rank.
// It is looked for beside the launcher and then by the names of the launcher's family.
// LORAC_MPI names it where neither finds it: a path, or a name that the system's loader
// finds.
//
// One thread makes all calls (MPI_THREAD_FUNNELED). It polls without pause while data
// move, since libraries move data only inside calls, and naps while nothing arrives.
package mpi
