// Package comm is what the processes of one job say to each other. It knows ranks,
// messages and sums of vectors; it must not know tensors, models or training.
//
// A Transport moves bytes between two ranks and nothing else. Every collective is
// code of this package over it, so that the order of a sum is stated here and is the
// same for every engine (package mpi, package local for tests).
//
// A Group is the ranks that talk. The group that New makes, the world, watches its
// ranks: see Options.Timeout. An Adder sums vectors of numbered units in the order of
// a binary tree over the units; which process computes which unit changes no bit.
package comm
