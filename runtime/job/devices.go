package job

import (
	"fmt"
	"strings"
)

// Devices are what a job was written for: they fix which rows a step takes, in
// what order, and what is averaged. How many processes do the work is another
// number, which changes nothing.
type Devices struct {
	Count      int    `key:"count"`
	Mode       string `key:"mode"`            // data, hybrid, semi or auto; "": stand-alone, one device
	FullBatch  bool   `key:"full_batch,omit"` // semi and auto: every device sees all rows; else each has a list of its own
	Replicas   int    `key:"replicas,omit"`   // of the model over the devices (data_parallel), which share a full batch
	Micro      int    `key:"micro,omit"`      // micro-batches of a pipeline, in place of grad_accum; 0: there is none
	Interleave int    `key:"interleave,omit"` // parts of a micro-batch that are averaged each
	Sum        bool   `key:"sum,omit"`        // data and hybrid: gradients of devices are added, not averaged
	Shard      string `key:"shard,omit"`      // how lists are cut from the order: block (MindSpore to 2.5) or stride (from 2.6)
	Units      int    `key:"units,omit"`      // of nearly equal cost that the rows of a step are divided into, a power of two; 0: as many as give each device one
}

// Parallel reports whether every step is of all devices together, so that a token
// mean is over the rows of all of them (semi and auto).
func (d *Devices) Parallel() bool { return d.Mode == "semi" || d.Mode == "auto" }

// Factor is the sum of the shares of a step's rows: 1, or the number of devices
// where their gradients are added. A loss for people is divided by it.
func (d *Devices) Factor() float64 {
	if d.Sum && d.Count > 1 {
		return float64(d.Count)
	}
	return 1
}

// Batch is how a step takes rows (MindFormers r1.3 trainer/base_trainer.py).
type Batch struct {
	Lists int  // that the rows of an epoch are cut into, one a device; 1: they are not cut
	Take  int  // rows of a list that a step takes
	Part  int  // rows of a list that are averaged together
	Apart bool // the rows of a list are averaged by themselves, not with those of the others
}

// Rows is how many rows a step takes.
func (b Batch) Rows() int { return b.Lists * b.Take }

// Means is how many token means a step is the mean of.
func (b Batch) Means() int {
	if b.Apart {
		return b.Lists
	}
	return b.Take / b.Part
}

// Batch is that of micro-batches of size rows, accum of them a step where the mode
// has them accumulated.
func (d *Devices) Batch(size, accum int) Batch {
	n, size, accum := max(d.Count, 1), max(size, 1), max(accum, 1)
	switch {
	case d.Mode == "":
		return Batch{Lists: 1, Take: size * accum, Part: size}
	case !d.Parallel(): // accumulates nothing
		return Batch{Lists: n, Take: size, Part: size, Apart: true}
	}
	if d.Micro > 0 {
		accum = d.Micro
	}
	accum *= max(d.Interleave, 1)
	if d.FullBatch {
		size *= max(d.Replicas, 1)
		n = 1
	}
	return Batch{Lists: n, Take: size * accum, Part: size}
}

// Step is Words of the job.
func (j *Job) Step() string { return j.Devices.Words(j.BatchSize, j.GradAccum, j.PerTokenLoss) }

// Rate is the schedule's learning rate, multiplied as lr_scale of MindFormers does: by the
// devices and the rows that one of them reads for a step (trainer/base_trainer.py).
func (j *Job) Rate() float64 {
	s := &j.Schedule
	if s.ScaleFactor == 0 {
		return s.LR
	}
	return s.LR * float64(max(j.Devices.Count, 1)) * float64(j.Batch().Take) / s.ScaleFactor
}

// Batch is how a step of the job takes rows.
func (j *Job) Batch() Batch { return j.Devices.Batch(j.BatchSize, j.GradAccum) }

// Words is what a step is, for people: how many rows it takes, what its loss is
// the mean of, and in what order rows come. size and accum are as of Batch.
func (d *Devices) Words(size, accum int, perToken bool) string {
	b := d.Batch(size, accum)
	n, each := max(d.Count, 1), ""
	switch {
	case n == 1:
	case !d.FullBatch:
		each = fmt.Sprintf(", %d of each device's", b.Take)
	case d.Replicas == n:
		each = fmt.Sprintf(", %d a device", b.Rows()/n)
	case d.Replicas > 1:
		each = fmt.Sprintf(", %d for each of %d replicas of %s", b.Rows()/d.Replicas, d.Replicas, count(n/d.Replicas, "device"))
	default:
		each = ", which all devices share"
	}
	out := fmt.Sprintf("%s: a step takes %s%s%s; %s", count(n, "device"), d.product(size, accum), count(b.Rows(), "row"), each, d.average(b, perToken))
	switch {
	case d.FullBatch:
		out += "; an epoch shuffles the order of the one before"
	case n > 1 && d.Shard == "stride":
		out += fmt.Sprintf("; shard_by stride: a device's list is every %s row of the epoch's order, as in MindSpore from 2.6", nth(n))
	case n > 1:
		out += "; shard_by block: a device's list is a block of the epoch's order, as in MindSpore up to 2.5"
	}
	return out
}

// product is how the rows of a step come about, where it is of more than one factor:
// batch_size, replicas or devices, micro-batches, parts of those.
func (d *Devices) product(size, accum int) string {
	factors := []int{d.Count}
	if d.FullBatch {
		factors[0] = d.Replicas
	}
	switch {
	case d.Micro > 0:
		factors = append(factors, d.Micro)
	case d.Mode == "" || d.Parallel():
		factors = append(factors, accum)
	}
	if d.Parallel() {
		factors = append(factors, d.Interleave)
	}
	out := fmt.Sprint(size)
	for _, f := range factors {
		if f > 1 {
			out += fmt.Sprintf(" · %d", f)
		}
	}
	if !strings.Contains(out, "·") {
		return ""
	}
	return out + " = "
}

// average says what the loss of a step is the mean of.
func (d *Devices) average(b Batch, perToken bool) string {
	rows := b.Rows()
	switch n := b.Means(); {
	case perToken && d.Factor() != 1:
		return fmt.Sprintf("gradients are %v times those of the mean over its tokens (gradients_mean: False)", d.Factor())
	case perToken:
		return "its loss is the mean over its tokens"
	case d.Factor() != 1:
		return "the gradients of the devices' token means are added (gradients_mean: False)"
	case n == 1 && rows == 1:
		return "its loss is the token mean of that row"
	case n == 1:
		return fmt.Sprintf("its loss is the token mean of the %d rows", rows)
	case b.Apart:
		return "its loss is the mean of the devices' token means"
	default:
		return fmt.Sprintf("its loss is the mean of %d token means, of %s each", n, count(rows/n, "row"))
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func nth(n int) string {
	switch {
	case n%100/10 == 1:
	case n%10 == 1:
		return fmt.Sprintf("%dst", n)
	case n%10 == 2:
		return fmt.Sprintf("%dnd", n)
	case n%10 == 3:
		return fmt.Sprintf("%drd", n)
	}
	return fmt.Sprintf("%dth", n)
}
