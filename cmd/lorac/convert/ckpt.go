package convert

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"lorac/runtime/sys/mmap"
	"lorac/runtime/weights"
	"lorac/runtime/weights/mindspore"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/safetensors"
	"lorac/runtime/weights/sharded"
)

// Ckpt converts MindSpore checkpoints to safetensors and back.
type Ckpt struct {
	Src       string `arg:"" help:"Weights: .ckpt, .safetensors, a Hugging Face directory, or any other base that is read."`
	Out       string `short:"o" required:"" help:"FILE.ckpt, FILE.safetensors, or a directory for model.safetensors." placeholder:"PATH"`
	Names     string `enum:"theirs,keep" default:"theirs" help:"theirs: MindFormers names in .ckpt, Hugging Face names in .safetensors; keep: as they are."`
	DropState bool   `name:"drop_state" help:"Leave out optimizer state and counters."`
	CRC       bool   `name:"crc" help:"Append a checksum to a .ckpt (MindSpore's crc_check)."`
}

// Run converts; tensors stream from file to file, in the type they have.
func (c *Ckpt) Run() error {
	set, err := weights.Open(c.Src)
	if err != nil {
		return fmt.Errorf("cannot open %s: %w", c.Src, err)
	}
	defer set.Close()
	var list []mindspore.Entry
	var dropped, foreign []string
	text := map[string]string{}
	target := naming.HF
	if filepath.Ext(c.Out) == ".ckpt" {
		target = naming.MindFormers
	}
	for _, name := range set.Names() {
		h, _ := weights.Describe(set, name)
		if c.DropState && naming.Bookkeeping(name, h.Shape) {
			dropped = append(dropped, name)
			continue
		}
		if f, ok := set.(*mindspore.File); ok && h.DType == "STR" {
			text[name], _ = f.Text(name)
		}
		e := mindspore.Entry{Name: name, DType: h.DType, Shape: h.Shape, ZeroDim: h.ZeroDim, Write: func(w io.Writer) error {
			for _, chunk := range h.Chunks {
				if _, err := w.Write(chunk); err != nil {
					return err
				}
				mmap.Release(chunk)
			}
			return nil
		}}
		if weights.Pairs(set, name) > 0 {
			return fmt.Errorf("%s has its rows in pairs, as GGUF and Meta keep them; this conversion would leave them so", name)
		}
		if _, known := mindspore.ElemSize(h.DType); !known {
			return fmt.Errorf("%s is stored as %s, of which neither MindSpore nor safetensors knows anything; write it as f16 or f32 first", name, h.DType)
		}
		if c.Names == "theirs" && !naming.Bookkeeping(name, h.Shape) {
			if their := target(name); their != "" {
				e.Name = their
			} else if target(otherScheme(name)) == "" {
				foreign = append(foreign, name)
			}
		}
		list = append(list, e)
	}
	if len(dropped) > 0 {
		fmt.Printf("left out %d tensors of state: %s\n", len(dropped), few(dropped))
	}
	if len(foreign) > 0 {
		fmt.Printf("%d names are no Llama's and stay: %s\n", len(foreign), few(foreign))
	}
	total := 0
	for _, name := range set.Names() {
		h, _ := weights.Describe(set, name)
		total += h.Bytes()
	}
	done := writing(c.Out, total)
	if filepath.Ext(c.Out) == ".ckpt" {
		err = c.toCkpt(set, list)
	} else {
		err = c.toSafetensors(set, list, text)
	}
	done()
	if err != nil {
		return err
	}
	fmt.Printf("%d tensors written to %s\n", len(list), c.Out)
	return nil
}

// otherScheme is the name in the other scheme, or the name itself.
func otherScheme(name string) string {
	for _, f := range []func(string) string{naming.HF, naming.MindFormers} {
		if n := f(name); n != "" {
			return n
		}
	}
	return name
}

func (c *Ckpt) toSafetensors(set weights.Set, list []mindspore.Entry, text map[string]string) error {
	a := mindspore.Aside{Text: text}
	var out []safetensors.Entry
	for _, e := range list {
		a.Order = append(a.Order, e.Name)
		if e.ZeroDim {
			a.ZeroDim = append(a.ZeroDim, e.Name)
		}
		if e.DType != "STR" {
			out = append(out, safetensors.Entry{Name: e.Name, DType: e.DType, Shape: e.Shape, Write: e.Write})
		}
	}
	metadata := map[string]string{"format": "pt"}
	if f, ok := set.(*mindspore.File); ok {
		a.CRC = f.HasCRC
		usual := slices.Sorted(slices.Values(a.Order)) // as it will be read
		slices.SortStableFunc(usual, networkOrder)
		if slices.Equal(usual, a.Order) {
			a.Order = nil
		}
		b, err := json.Marshal(a)
		if err != nil {
			return err
		}
		if string(b) != "{}" {
			metadata[mindspore.AsideKey] = string(b)
		}
	}
	path := c.Out
	if filepath.Ext(path) != ".safetensors" {
		path = filepath.Join(path, "model.safetensors")
	}
	return safetensors.Write(path, out, metadata)
}

func (c *Ckpt) toCkpt(set weights.Set, list []mindspore.Entry) error {
	a := asideOf(set)
	place := map[string]int{}
	for i, name := range a.Order {
		for _, n := range []string{name, naming.MindFormers(name)} {
			if n != "" {
				place[n] = i
			}
		}
	}
	for name, s := range a.Text {
		if !(c.DropState && naming.Bookkeeping(name, nil)) {
			list = append(list, mindspore.Text(name, s))
		}
	}
	for i := range list {
		list[i].ZeroDim = list[i].ZeroDim || slices.Contains(a.ZeroDim, list[i].Name)
	}
	if len(place) > 0 {
		slices.SortStableFunc(list, func(x, y mindspore.Entry) int { return place[x.Name] - place[y.Name] })
	} else if _, ok := set.(*mindspore.File); !ok {
		slices.SortStableFunc(list, func(x, y mindspore.Entry) int { return networkOrder(x.Name, y.Name) })
	}
	return mindspore.Write(c.Out, list, c.CRC || a.CRC)
}

// asideOf reads what an earlier conversion wrote next to the tensors.
func asideOf(set weights.Set) mindspore.Aside {
	if s, ok := set.(*safetensors.Set); ok {
		for _, f := range s.Files() {
			if f.Metadata[mindspore.AsideKey] != "" {
				return mindspore.AsideOf(f.Metadata)
			}
		}
	}
	return mindspore.Aside{}
}

// networkOrder is that of the parameters of MindFormers' Llama.
func networkOrder(x, y string) int { return naming.Place(x) - naming.Place(y) }

// layoutName is how a layout is told to people.
func layoutName(l *sharded.Layout) string {
	split := []string{}
	for i, n := range l.Parts() {
		if n > 1 {
			split = append(split, fmt.Sprintf("dimension %d in %d", i, n))
		}
	}
	if len(split) == 0 {
		return "whole"
	}
	return strings.Join(split, ", ")
}
