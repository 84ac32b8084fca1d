package ascend

import (
	"lorac/runtime/comm"
	"lorac/runtime/comm/hccl"
)

// Link is HCCL between the devices of the processes that t joins.
func (c *card) Link(t comm.Transport) comm.Transport {
	c.link = hccl.New(t)
	return c.link
}

// Connect makes its communicator.
func (c *card) Connect(g *comm.Group) error { return c.link.Connect(g, c.d.Queue) }

// unlink ends it. After a fault of the device it is left as it is.
func (c *card) unlink() {
	if c.link != nil && c.d.Sync() == nil {
		c.link.Close() //nolint:errcheck // the run has ended
	}
}
