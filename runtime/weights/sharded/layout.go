package sharded

import (
	"fmt"
	"slices"
)

// Layout is the sharding of a tensor over the devices of a pipeline stage.
type Layout struct {
	Devices []int // the device matrix; the last axis varies fastest
	Map     []int // per dimension the axis it is split over, counted from the last; -1: replicated
	// With optimizer sharding, the first dimension of each slice is split into OptSize
	// shards; ranks with a distance of OptStep hold neighbouring shards. OptSize 0 is
	// no sharding, -1 one shard for each rank that holds the same slice.
	OptStep, OptSize int
}

// maxDevices bounds the devices of a stage; a larger number is corruption.
const maxDevices = 1 << 16

// Count is the number of devices.
func (l *Layout) Count() int {
	n := 1
	for _, d := range l.Devices {
		n *= d
	}
	return n
}

func (l *Layout) check() error {
	n := 1
	for _, d := range l.Devices {
		if d < 1 || d > maxDevices || n*d > maxDevices {
			return fmt.Errorf("the device matrix %v is invalid", l.Devices)
		}
		n *= d
	}
	var seen []int
	for _, m := range l.Map {
		if m < -1 || m >= len(l.Devices) || m >= 0 && slices.Contains(seen, m) {
			return fmt.Errorf("the tensor map %v does not match the device matrix %v", l.Map, l.Devices)
		}
		seen = append(seen, m)
	}
	if l.OptStep < 0 || l.OptSize < -1 || l.OptSize > maxDevices {
		return fmt.Errorf("the optimizer shard of step %d and size %d is invalid", l.OptStep, l.OptSize)
	}
	if l.OptStep == 0 || l.OptSize == 0 {
		return nil
	}
	slices := 1
	for _, m := range l.Map {
		slices *= l.parts(m)
	}
	if l.OptStep != slices {
		return fmt.Errorf("the optimizer shard has step %d, but the tensor has %d slices", l.OptStep, slices)
	}
	if size := l.shard(); len(l.Map) == 0 || size < 1 || n%(slices*size) != 0 {
		return fmt.Errorf("the optimizer shard of %d does not match %d devices with %d slices", l.OptSize, n, slices)
	}
	return nil
}

// parts is the number of slices of a dimension split over an axis.
func (l *Layout) parts(axis int) int {
	if axis < 0 {
		return 1
	}
	return l.Devices[len(l.Devices)-1-axis]
}

// shard is the number of optimizer shards of a slice.
func (l *Layout) shard() int {
	switch {
	case l.OptStep == 0 || l.OptSize == 0:
		return 1
	case l.OptSize < 0:
		return l.Count() / l.OptStep
	}
	return l.OptSize
}

// Parts is the number of slices of each dimension.
func (l *Layout) Parts() []int {
	out := make([]int, len(l.Map))
	for i, m := range l.Map {
		out[i] = l.parts(m)
	}
	if s := l.shard(); s > 1 {
		out[0] *= s
	}
	return out
}

// Piece is the index of the slice, per dimension, that a rank of the stage holds.
func (l *Layout) Piece(rank int) []int {
	out := make([]int, len(l.Map))
	at := rank
	if s := l.shard(); s > 1 {
		// The optimizer counts slices, then shards, then repeats (MindSpore
		// _construct_tensor_layout_for_opt_shard).
		shard := rank / l.OptStep % s
		at = rank % l.OptStep
		for i := len(out) - 1; i >= 0; i-- {
			n := l.parts(l.Map[i])
			out[i], at = at%n, at/n
		}
		out[0] = out[0]*s + shard
		return out
	}
	coordinate := make([]int, len(l.Devices))
	for i := len(l.Devices) - 1; i >= 0; i-- {
		coordinate[i], at = at%l.Devices[i], at/l.Devices[i]
	}
	for i, m := range l.Map {
		if m >= 0 {
			out[i] = coordinate[len(coordinate)-1-m]
		}
	}
	return out
}

// Whole is the full shape of a tensor, given the shape of a slice.
func (l *Layout) Whole(slice []int) ([]int, error) {
	if len(slice) != len(l.Map) {
		return nil, fmt.Errorf("a slice of shape %v does not match the tensor map %v", slice, l.Map)
	}
	out := l.Parts()
	for i := range out {
		out[i] *= slice[i]
	}
	return out, nil
}

// Slice is the shape of every rank's slice of a tensor.
func (l *Layout) Slice(whole []int) ([]int, error) {
	if len(whole) != len(l.Map) {
		return nil, fmt.Errorf("a tensor of shape %v does not match the tensor map %v", whole, l.Map)
	}
	out := slices.Clone(whole)
	for i, n := range l.Parts() {
		if out[i]%n != 0 {
			return nil, fmt.Errorf("dimension %d of %v is not a multiple of %d", i, whole, n)
		}
		out[i] /= n
	}
	return out, nil
}

// Alone is the layout of a tensor of the given rank on one device.
func Alone(dims int) Layout {
	l := Layout{Devices: []int{1}, Map: make([]int, dims)}
	for i := range l.Map {
		l.Map[i] = -1
	}
	return l
}
