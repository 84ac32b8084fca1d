package model

import (
	"testing"

	"lorac/compiler/config"
	"lorac/ir/diag"
	"lorac/runtime/job"
)

// What the monitor says of a checkpoint's files counts where a flag gives its format, too.
func TestCheckpointFiles(t *testing.T) {
	for more, want := range map[string]job.Checkpoint{
		"":                              {},
		", save_trainable_params: True": {Trainable: true},
		", save_network_params: False":  {NoNetwork: true},
		", checkpoint_format: ckpt":     {Format: "ckpt", Network: true},
		", checkpoint_format: ckpt, save_network_params: no": {Format: "ckpt"},
	} {
		c, list := config.LoadBytes("tiny.yaml", []byte(`
train_dataset: {data_loader: {dataset_dir: rows.jsonl}}
callbacks: [{type: CheckpointMonitor`+more+`}]
model:
  arch: {type: LlamaForCausalLM}
  model_config: {type: LlamaConfig, seq_length: 16, hidden_size: 16, num_layers: 3, num_heads: 4, vocab_size: 40, pet_config: {pet_type: lora, target_modules: '.*wq'}}
`), nil)
		if list.HasErrors() {
			t.Fatal(list)
		}
		j := &typed{at: map[any]diag.Pos{}}
		j.fill(c)
		if got := (job.Checkpoint{Format: j.Checkpoint.Format, Network: j.Checkpoint.Network, Trainable: j.Checkpoint.Trainable, NoNetwork: j.Checkpoint.NoNetwork}); got != want {
			t.Errorf("%q: %+v, want %+v", more, got, want)
		}
	}
}
