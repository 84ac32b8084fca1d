package launch

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/cmd/lorac/cli"
)

func TestShellWords(t *testing.T) {
	for in, want := range map[string][]string{
		``:                            nil,
		`a  b	c`:                      {"a", "b", "c"},
		`a 'b "c' "d 'e"`:             {"a", `b "c`, `d 'e`},
		`a\ b "c\"d\x" 'e\f' ''`:      {"a b", `c"d\x`, `e\f`, ""},
		"python x.py \\\n  --a 1":     {"python", "x.py", "--a", "1"},
		`--p=wq|wk "$HOME"/x`:         {"--p=wq|wk", "$HOME/x"},
		`--predict_data "a" 'b  c' d`: {"--predict_data", "a", "b  c", "d"},
	} {
		if got, err := shellWords(in); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q gives %q, want %q (%v)", in, got, want, err)
		}
	}
	for _, in := range []string{`a "b`, `'`, `a\`} {
		if got, err := shellWords(in); err == nil {
			t.Errorf("%q gives %q", in, got)
		}
	}
}

// taken spells a call in one line: config; overrides; flags of the trainer.
func taken(c *Call) string {
	over := make([]string, len(c.Overrides))
	for i, o := range c.Overrides {
		over[i] = o.Path + "=" + o.Value
	}
	return fmt.Sprintf("%s; %s; %s", filepath.ToSlash(c.Config), strings.Join(over, " "), strings.Join(c.Rest, " "))
}

func TestParse(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, f := range []string{"far/configs/x.yaml", "near.yaml", "far/near.yaml", "with blanks.yaml"} {
		os.MkdirAll(filepath.Dir(f), 0o777)
		os.WriteFile(f, nil, 0o666)
	}
	const flags = "--train_dataset_dir d --load_checkpoint c --auto_trans_ckpt False --use_parallel True --run_mode finetune"
	const plain = "x.yaml; use_parallel=True; --load_checkpoint c --auto_trans_ckpt False --run_mode finetune --train_dataset_dir d"
	launched := strings.Replace(plain, "True; ", "True devices=8; ", 1)
	for name, x := range map[string]struct {
		args []string
		want string
	}{
		"documentation":     {words("--config x.yaml " + flags), plain},
		"bare config":       {words("x.yaml " + flags), plain},
		"script":            {words("run_mindformer.py --config x.yaml " + flags), plain},
		"python":            {words("python -u scripts/run_mindformer.py --config x.yaml " + flags), plain},
		"quoted":            {[]string{"run_mindformer.py --config x.yaml " + flags, "8"}, launched},
		"quoted, alone":     {[]string{"run_mindformer.py --config x.yaml " + flags}, plain},
		"quoted, python":    {[]string{"python3.9 run_mindformer.py \\\n --config x.yaml " + flags, "8"}, launched},
		"quoted, no script": {[]string{"--config x.yaml " + flags, "8"}, launched},
		"six":               {[]string{"run_mindformer.py --config x.yaml " + flags, "8", "8118", "output/msrun_log", "False", "300"}, launched},
		"nine":              {[]string{"run_mindformer.py --config x.yaml " + flags, "16", "8", "10.0.0.1", "8118", "0", "output/msrun_log", "False", "300"}, strings.Replace(launched, "8", "16", 1)},
		"launcher":          {[]string{"bash", "scripts/msrun_launcher.sh", "run_mindformer.py --config x.yaml " + flags, "8"}, launched},
		"msrun":             {words("msrun --worker_num=8 --local_worker_num=8 --log_dir=l --join=True run_mindformer.py --config x.yaml " + flags), launched},
		"environment":       {words("ASCEND_RT_VISIBLE_DEVICES=0 nohup python run_mindformer.py --config x.yaml " + flags), plain},
		"flags after":       {[]string{"run_mindformer.py --config x.yaml", "8", "--steps", "3"}, "x.yaml; devices=8; --steps 3"},
		"distribute":        {words("bash run_distribute.sh hccl_8p.json x.yaml [0,8] finetune 8"), "x.yaml; devices=8; --run_mode finetune"},
		"standalone":        {words("scripts/run_standalone.sh x.yaml 0 train"), "x.yaml; ; --run_mode train"},
		"next to script":    {words("python far/run_mindformer.py --config configs/x.yaml"), "far/configs/x.yaml; ; "},
		"here first":        {words("python far/run_mindformer.py --config near.yaml"), "near.yaml; ; "},
		"nowhere":           {words("python far/run_mindformer.py --config none.yaml"), "none.yaml; ; "},
		"blanks":            {[]string{"with blanks.yaml", "--steps", "1"}, "with blanks.yaml; ; --steps 1"},

		"blank in a value": {[]string{"--predict_data=two words", "--config", "x.yaml"}, "x.yaml; ; --predict_data two words"},

		"equals":  {words("x.yaml --seed=3 --lr_schedule.type=linear --a.b=c=d"), "x.yaml; lr_schedule.type=linear a.b=c=d; --seed 3"},
		"options": {words("x.yaml --options seed=3 optimizer.betas=0.9,0.95 a.b=(1,2) train_dataset.data_loader.dataset_dir=p,q --steps 1"), "x.yaml; optimizer.betas=[0.9,0.95] a.b=[1,2]; --steps 1 --seed 3 --train_dataset_dir p,q"},
		// Later in the order of run_mindformer.py wins, whatever stands first.
		"order":        {words("x.yaml --runner_config.epochs 5 --epochs 4 --options runner_config.epochs=3 seed=2 --seed 1"), "x.yaml; ; --seed 1 --epochs 3 --seed 2 --epochs 4 --epochs 5"},
		"order, dirs":  {words("x.yaml --train_dataset_dir b --options train_dataset.data_loader.dataset_dir=a"), "x.yaml; ; --train_dataset_dir a --train_dataset_dir b"},
		"order, keys":  {words("x.yaml --model.model_config.seq_length 3 --options model.model_config.seq_length=2 --num_samples 9"), "x.yaml; model.model_config.seq_length=2 train_dataset.data_loader.num_samples=9 eval_dataset.data_loader.num_samples=9 model.model_config.seq_length=3; "},
		"sink":         {words("x.yaml --sink_mode False"), "x.yaml; runner_config.sink_mode=False; "},
		"prompts":      {[]string{"x.yaml", "--predict_data", "one", "and two", "--steps", "1"}, "x.yaml; ; --steps 1 --predict_data one --predict_data and two"},
		"key at top":   {words("x.yaml --layer_decay 0.5"), "x.yaml; layer_decay=0.5; "},
		"no effect":    {words("x.yaml --adapter_id 3 --remote_save_url u --device_id 1"), "x.yaml; adapter_id=3 remote_save_url=u; --device_id 1"},
		"switch":       {words("--no_progress x.yaml"), "x.yaml; ; --no_progress"},
		"negative":     {words("x.yaml --lr_schedule.total_steps -1"), "x.yaml; lr_schedule.total_steps=-1; "},
		"twice a file": {words("x.yaml --config x.yaml"), "x.yaml; ; "},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := Parse(x.args)
			if err != nil {
				t.Fatal(err)
			}
			if got := taken(c); got != x.want {
				t.Errorf("got  %s\nwant %s", got, x.want)
			}
		})
	}
}

// What is meant may be a flag that the command has besides.
func TestParseAlso(t *testing.T) {
	if _, err := Parse(words("x.yaml --prot 80"), "port"); err == nil || !strings.Contains(err.Error(), "did you mean --port") {
		t.Error(err)
	}
}

func TestParseRefuses(t *testing.T) {
	for want, args := range map[string][]string{
		"no config is given":                    words("--seed 1"),
		"--epochs needs a value":                words("x.yaml --epochs --seed 1"),
		"--options needs a value":               words("x.yaml --options"),
		"takes pairs like":                      words("x.yaml --options seed"),
		"did you mean --train_dataset_dir":      words("x.yaml --train_data_dir d"),
		"did you mean --num_samples":            words("x.yaml --num_sample 3"),
		"`lorac finetune --help` lists all":     words("x.yaml --zzzzzzzz 3"),
		`unexpected argument "y.yaml"`:          words("x.yaml y.yaml"),
		"two configs are given":                 words("--config x.yaml --config y.yaml"),
		"must be a number":                      {"run_mindformer.py --config x.yaml", "eight"},
		"takes 1, 2, 6 or 9 arguments, not 3":   {"run_mindformer.py --config x.yaml", "8", "8118"},
		"a Python program of its own":           words("python train.py --config x.yaml"),
		"is expected":                           words("python --config x.yaml"),
		"never closed":                          {"run_mindformer.py --config 'x.yaml", "8"},
		"needs a command":                       words("bash msrun_launcher.sh"),
		"needs a config (.yaml) and a run mode": words("run_distribute.sh hccl.json x.yaml"),
		"MINDIR":                                words("x.yaml --run_mode export"),
		"several kinds of input":                words("x.yaml --modal_type image"),
	} {
		_, err := Parse(args)
		if err == nil || !strings.Contains(err.Error(), want) || !cli.IsUsage(err) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
}

// Every flag of run_mindformer.py (r1.3) is taken.
func TestFlagsOfTheOriginal(t *testing.T) {
	for _, f := range words("mode device_id device_target run_mode do_eval train_dataset_dir eval_dataset_dir predict_data predict_batch_size adapter_id " +
		"load_checkpoint src_strategy_path_or_dir auto_trans_ckpt transform_process_num only_save_strategy resume_training strategy_load_checkpoint " +
		"remote_save_url seed use_parallel profile epochs batch_size gradient_accumulation_steps sink_mode num_samples output_dir register_path") {
		if _, err := Parse([]string{"--config", "x.yaml", "--" + f, "train"}); err != nil {
			t.Errorf("--%s: %v", f, err)
		}
		if !strings.Contains(Help(), "--"+f+" ") {
			t.Errorf("--%s is not in the help", f)
		}
	}
}

func words(s string) []string { return strings.Fields(s) }

// Whatever the command line: a call or an error of use, never a panic.
func FuzzParse(f *testing.F) {
	f.Add("bash msrun_launcher.sh 'run_mindformer.py --config x.yaml' 8")
	f.Add("--options a=b,c --predict_data x --a.b=c")
	f.Add("\"python run_mindformer.py --config 'x\" 8 8118 l False 1")
	f.Fuzz(func(t *testing.T, line string) {
		args, err := shellWords(line)
		if err != nil || strings.Contains(line, "-h") {
			return
		}
		c, err := Parse(args)
		if err == nil && c.Config == "" || err != nil && !cli.IsUsage(err) {
			t.Errorf("%q: %+v, %v", args, c, err)
		}
	})
}
