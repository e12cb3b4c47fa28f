// Command traffic writes generated events, one a line, in the order of their arrival: late,
// repeated and displaced ones included, broken records left out.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"

	"usher/bench/gen"
)

func main() {
	conversations := flag.Int("conversations", 20_000, "how many conversations")
	seed := flag.Uint64("seed", 1, "what they are drawn from")
	end := flag.Int64("end", 1_764_547_200_000, "no event is dated after it: ms since 1970")
	disorder := flag.Int("disorder", 1, "factor on the default rates of disorder")
	flag.Parse()
	err := write(os.Stdout, gen.Config{
		Seed: *seed, Conversations: *conversations, EndMS: *end, Broken: -1,
		Duplicates: 60 * *disorder, Displaced: 150 * *disorder, FarLate: 3 * *disorder,
		Skewed: 40 * *disorder,
	})
	if err != nil {
		panic(err) // run.sh stops; there is nothing to tidy up
	}
}

func write(w io.Writer, cfg gen.Config) error {
	g, err := gen.New(cfg)
	if err != nil {
		return fmt.Errorf("cannot generate traffic: %w", err)
	}
	out := bufio.NewWriterSize(w, 1<<20)
	var rec gen.Record
	for g.Next(&rec) {
		if rec.Value == nil {
			continue
		}
		if _, err := out.Write(append(rec.Value, '\n')); err != nil {
			return fmt.Errorf("cannot write traffic: %w", err)
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("cannot write traffic: %w", err)
	}
	return nil
}
