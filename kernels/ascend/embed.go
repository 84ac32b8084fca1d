package ascend

import "embed"

// Sources is this package as text, for the trainers lorac emits.
//
//go:embed *.go
var Sources embed.FS

// Csrc is the kernels in Ascend C, below csrc: a CANN toolkit makes a binary of
// them for a kind of card.
//
//go:embed csrc
var Csrc embed.FS
