package dataset

// Shard is device d's list of the rows of an epoch, where the data set is cut over
// n devices: ⌈rows/n⌉ of the order, the last lists starting over at its front
// (MindSpore shard_distributed_sample.cc, shard_sample.cc). Up to 2.5 a device
// takes a block, from 2.6 every nth row (stride), unless
// MS_DEV_MINDRECORD_SHARD_BY_BLOCK is True.
func Shard(order []int, d, n int, stride bool) []int {
	list := make([]int, (len(order)+n-1)/n)
	for i := range list {
		at := d*len(list) + i
		if stride {
			at = i*n + d
		}
		list[i] = order[at%len(order)]
	}
	return list
}
