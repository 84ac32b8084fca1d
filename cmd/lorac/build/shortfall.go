package build

import (
	"fmt"
	"strings"

	"lorac/compiler"
	"lorac/compiler/config"
	"lorac/compiler/cost"
	"lorac/compiler/model"
	"lorac/compiler/passes"
	"lorac/runtime/sys/human"
)

// explainShort says how much memory a job lacks, what leaves it so little, and what
// would help.
func (t *Target) explainShort(s *compiler.Shortfall, c *config.Config, facts *compiler.Target) error {
	if t.bound.N == 0 || s.Limit == t.Limit {
		return explain(s, c, facts, "the limit of "+human.Bytes(s.Limit), "")
	}
	if t.bound.Nothing() {
		return fmt.Errorf("the job takes %s, and nothing is left of the limit (%s)\n  = help: raise that limit, or lift it: --mem_limit and control groups bound what a process uses, not what it reserves",
			human.Bytes(s.Process.Total), t.bound.From)
	}
	first := ""
	if !s.Rounded {
		rounded := *facts
		rounded.Limit, rounded.Free, rounded.After = s.Limit, 0, nil
		if _, err := compiler.Compile(c, &rounded); err == nil {
			first = fmt.Sprintf("--mem_limit %dMiB stores saved activations in compute_dtype as well, which rounds them", s.Limit>>20)
		}
	}
	return explain(s, c, facts, fmt.Sprintf("the %s that it may have here (%s)", human.Bytes(s.Limit), t.bound.From), first)
}

// explain says how much memory a job lacks and what would help; first is what helps
// most, if it is known.
func explain(s *compiler.Shortfall, c *config.Config, t *compiler.Target, limit, first string) error {
	var help []string
	if first != "" {
		help = append(help, first)
	}
	p := s.Process
	rows, seq := p.Use.Env["T"], c.Model.SeqLength.V
	one := p.Use.Env["N"] == 1 || p.Use.Data == 0 && rows == seq // else it does not shorten all of them
	for _, part := range p.Parts {
		if strings.HasPrefix(part.Name, "activations") && one && rows > seq/2 {
			help = append(help, fmt.Sprintf("half of seq_length saves about %s", human.Bytes(part.Bytes/rows*(rows-seq/2))))
		}
	}
	if !one {
		help = append(help, "a smaller --batch_size makes smaller micro-batches")
	}
	if more := p.Use.Threads - DefaultThreads(); more > 0 {
		help = append(help, fmt.Sprintf("a thread a core saves %s", human.Bytes(more*p.Thread)))
	}
	frozen, f32 := cost.Frozen(s.Module)
	if f32 > 0 {
		help = append(help, fmt.Sprintf("a base stored in f16 or bf16 saves %s", human.Bytes(f32/2)))
	}
	if then, err := frozenInBlocks(c, t); err == nil && then < frozen {
		help = append(help, fmt.Sprintf("--quant int4 saves about %s", human.Bytes(frozen-then)))
	}
	if help == nil {
		help = []string{"more memory"}
	}
	return fmt.Errorf("the job takes at least %s, %s bytes more than %s, with everything recomputed that can be\n  = help: %s",
		human.Bytes(p.Total), human.Thousands(p.Total-s.Limit), limit, strings.Join(help, "; "))
}

// explain says how much memory of a card a job lacks and what would help.
func (t *Target) explain(e *compiler.TooLarge) error {
	help := "a smaller seq_length or batch_size makes smaller micro-batches"
	if e.Fixed > e.Limit {
		more := "a card with more memory"
		if t.Limit > 0 {
			more = "a larger --mem_limit"
		}
		help = fmt.Sprintf("the weights and what goes with them take %s, whatever the micro-batch: take %s", human.Bytes(e.Fixed), more)
	}
	return fmt.Errorf("the job takes at least %s of the device's memory, %s are there%s\n  = help: %s; or run it with --device cpu", human.Bytes(e.Bytes), human.Bytes(e.Limit), t.assumption(), help)
}

// assumption says that memory is that of a card which nobody named.
func (t *Target) assumption() string {
	if !t.Assumed || t.Limit > 0 {
		return ""
	}
	return fmt.Sprintf(" on Ascend %s, which is assumed (--soc names another)", t.Ascend.SoC)
}

// frozenInBlocks is what the frozen base would take with --quant int4.
func frozenInBlocks(c *config.Config, t *compiler.Target) (int, error) {
	quantised := *c
	quantised.Quant.V = "int4"
	m, err := model.Build(&quantised)
	if err == nil {
		err = passes.CheckTypes(m)
	}
	if err != nil {
		return 0, err
	}
	if _, err := passes.Run(m, &passes.Options{Last: "store-types", Facts: passes.Facts{Base: t.Base, Blocks: t.Blocks}}, nil); err != nil {
		return 0, err
	}
	all, _ := cost.Frozen(m)
	return all, nil
}
