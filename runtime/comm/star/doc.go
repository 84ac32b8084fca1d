// Package star is the transport of processes that lorac started itself, without MPI:
// each has one connection, to the hub, which passes its messages on. It is for small
// messages: what processes agree on, losses, signs of life. Vectors go by an engine of
// their own.
//
// The hub is in the process of lorac. A connection begins with a token that the hub made
// and the environment of the processes carries; others are closed.
package star
