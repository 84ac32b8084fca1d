package rt

import "embed"

// Sources is this package and the ones below it as text: lorac carries them to
// the trainers it emits, which build without a network or a checkout.
//
//go:embed *.go comm/*.go data exit infer job lowrank microbatch python report rng train weights wire
//go:embed sys/atomicfile sys/disk sys/human sys/limits sys/mmap sys/offheap sys/protowire sys/signals sys/spell sys/version
var Sources embed.FS

// MPISources is what trainers of several processes have besides.
//
//go:embed comm/mpi sys/dl
var MPISources embed.FS

// DeviceSources is what trainers for a device have besides.
//
//go:embed ascend comm/hccl comm/mpi comm/star device sys/dl
var DeviceSources embed.FS
