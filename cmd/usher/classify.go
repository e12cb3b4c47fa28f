package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"usher/cmd/usher/internal/config"
	"usher/pipeline"
	"usher/pipeline/classify"
	"usher/pipeline/route"
)

type classifyOptions struct{ model, lang, tenant, channel string }

func (a *app) classifyCommand() *cobra.Command {
	o := classifyOptions{}
	c := &cobra.Command{
		Use:   "classify [--model MODEL]",
		Short: "Classify lines of standard input",
		Long: `Read one message a line from standard input and print one decision a line, in the form of
chat.decisions.v1. Every line is the first message of a conversation of its own. Without --model the
configured model decides, without a configured one the model in the binary.`,
		Example: `  echo "How much is a haircut?" | usher classify
  usher classify --model intent.usher --lang ru < messages.txt | jq -r '[.label,.score,.band]|@tsv'`,
		Args: noArgs,
		RunE: a.do(func(*cobra.Command, []string) error { return a.classify(o) }),
	}
	f := c.Flags()
	f.StringVar(&o.model, "model", "", "the model's `file`")
	f.StringVar(&o.lang, "lang", "", "the `language` of the lines, as ru")
	f.StringVar(&o.tenant, "tenant", "", "decide with this tenant's cut-offs")
	f.StringVar(&o.channel, "channel", "", "the channel of the lines, as web")
	return c
}

func (a *app) classify(o classifyOptions) error {
	lc, err := a.localLineConfig(o.model)
	if err != nil {
		return err
	}
	scorer, err := classify.NewScorer(*lc, "stdin")
	if err != nil {
		return err
	}
	a.log.Info("auto is shown as if the model had been accepted; run acts alone only after that")
	in := bufio.NewReaderSize(a.in, 1<<20)
	out := bufio.NewWriter(a.out)
	var decision []byte
	for n := 1; ; n++ {
		text, err := readLine(in)
		if errors.Is(err, io.EOF) {
			return out.Flush()
		}
		if err != nil {
			return fmt.Errorf("cannot read standard input after line %d: %w", n-1, err)
		}
		decision, err = scorer.Append(decision[:0], classify.Message{
			Text: text, Lang: o.lang, Channel: o.channel, Tenant: o.tenant,
		})
		if err != nil {
			return fmt.Errorf("cannot classify line %d: %w", n, err)
		}
		if _, err := out.Write(append(decision, '\n')); err != nil {
			return err
		}
		if in.Buffered() == 0 { // whoever writes line by line waits for the answer
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}

// readLine reads a line of any length and keeps its beginning.
func readLine(in *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		chunk, err := in.ReadSlice('\n')
		if room := classify.TextBytesMax - b.Len(); room > 0 {
			b.Write(chunk[:min(room, len(chunk))])
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && (len(chunk) > 0 || b.Len() > 0):
			return whole(b.String()), nil
		case err != nil:
			return "", err
		default:
			return whole(b.String()), nil
		}
	}
}

// whole drops the line end and a character that the cut halved.
func whole(s string) string {
	s = strings.TrimRight(s, "\r\n")
	if len(s) == classify.TextBytesMax {
		for i := 0; i < utf8.UTFMax && len(s) > 0; i++ {
			if r, size := utf8.DecodeLastRuneInString(s); r != utf8.RuneError || size > 1 {
				break
			}
			s = s[:len(s)-1]
		}
	}
	return s
}

// localLine makes the pipeline's line for work without servers.
func (a *app) localLine(model string) (*pipeline.Line, *pipeline.LineConfig, error) {
	lc, err := a.localLineConfig(model)
	if err != nil {
		return nil, nil, err
	}
	metrics, _ := newMetrics()
	l, err := pipeline.NewLine(*lc, metrics)
	return l, lc, err
}

// localLineConfig is what such a line needs. Its pseudonyms leave nothing behind, so the key is made
// anew each time. model, when given, goes before the configured ones.
func (a *app) localLineConfig(model string) (*pipeline.LineConfig, error) {
	cfg := *a.cfg
	if model != "" {
		m, err := loadModelFile(model)
		if err != nil {
			return nil, err
		}
		name := m.Name()
		_ = m.Close()
		cfg.Classifier.Models = []config.Model{{Name: name, File: model, Mode: "live"}}
	}
	lc, err := lineConfig(&cfg, lineSettings{Key: []byte(randomHex(16)), Mode: route.Live})
	return &lc, err
}
