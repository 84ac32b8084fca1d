// Package hccl is the transport of vectors in the memory of Ascend devices: Huawei's HCCL,
// opened at run time without cgo. One process drives one device.
//
// Transfers are queued on the stream that the kernels of the run are queued on, so they
// wait for what was computed before, and what is computed afterwards waits for them.
// That is why a transfer is done, for package comm, as soon as it is queued: whoever uses
// its result does so on the stream. What goes wrong on the way comes out when the device
// is waited for.
//
// A send of HCCL holds the stream until its receive has come. So all ranks queue in one
// order: pairs of ranks take turns in rounds of a tournament, and in a pair the lower rank
// sends first. The sums themselves are package comm's: HCCL moves bytes and adds nothing.
//
// What the processes say to each other besides, HCCL does not carry: it goes over package
// star, or over MPI where an MPI launcher started them (Join).
package hccl
