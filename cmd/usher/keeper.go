package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"usher/cmd/usher/internal/config"
	"usher/features/classifier/accept"
	"usher/pipeline"
	"usher/pipeline/classify"
	"usher/pipeline/route"
)

// How often the keeper looks, and how long it waits.
const (
	standingEvery = 30 * time.Second       // for acceptances in the journal
	liveEvery     = 5 * time.Minute        // for live precision
	settleTime    = 300 * time.Millisecond // a file that is being written changes many times
	keeperTimeout = 10 * time.Second       // of one question to the store
)

// runLine are the settings of usher run: a model acts alone only where it was accepted.
func runLine(c *config.Config) lineSettings {
	return lineSettings{Key: []byte(c.Privacy.Key.Reveal()), Mode: route.Unproven, InMemory: true}
}

// keeper keeps the Brain of a running router up to date: the model file, the configuration's
// switches, and what the journal says about acting alone. ClickHouse is never on the path of a
// decision: while it is away, the latest known standing holds, and at first nothing is proven.
type keeper struct {
	cfg      *config.Config
	reload   func() (*config.Config, error)
	instance string
	store    *store
	brains   *pipeline.Brains
	log      *slog.Logger
	now      func() time.Time

	plain    *pipeline.Brain // in force, without proofs
	standing *accept.Standing
	pending  []journalEntry // not yet written
	fallback chan [2]string // reason and tenant of answers without a score
	liveAt   time.Time      // of the latest look at live precision
	stamp    string         // of the model file that was loaded or refused last
	said     string         // the latest complaint about the store, said once
}

func newKeeper(p *process, s *store, brains *pipeline.Brains) *keeper {
	k := &keeper{
		cfg: p.Config, reload: p.Reload, instance: p.instance, store: s, brains: brains, log: p.Log,
		now: time.Now, plain: brains.Now(), liveAt: time.Now(),
		fallback: make(chan [2]string, pendingMax),
	}
	k.stamp = k.fileStamp()
	k.loaded()
	return k
}

// run follows the model file, SIGHUP and the journal until ctx ends.
func (k *keeper) run(ctx context.Context) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	watcher, events := k.watch()
	if watcher != nil {
		defer watcher.Close()
	}
	tick := time.NewTicker(standingEvery)
	defer tick.Stop()
	settled, soon := time.NewTimer(time.Hour), time.NewTimer(time.Hour)
	settled.Stop()
	soon.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
			k.log.Info("SIGHUP: the configuration is read again")
			k.again(ctx, true)
		case <-events:
			settled.Reset(settleTime)
		case <-settled.C:
			k.fileChanged(ctx)
		case f := <-k.fallback:
			k.noteFallback(f[0], f[1])
			soon.Reset(settleTime)
		case <-soon.C:
			k.flushNow(ctx)
		case <-tick.C:
			// A file system that tells nothing (a network share) is asked.
			k.fileChanged(ctx)
			k.look(ctx)
		}
	}
}

// watch follows the directories of the model files: a file that is replaced by renaming is another
// file, whose own watch would be lost.
func (k *keeper) watch() (*fsnotify.Watcher, <-chan fsnotify.Event) {
	if len(k.cfg.Classifier.Models) == 0 {
		return nil, nil
	}
	w, err := fsnotify.NewWatcher()
	if err == nil {
		err = w.Add(filepath.Dir(k.cfg.Classifier.Models[0].File))
	}
	if err != nil {
		k.log.Warn("cannot watch the model file; it is looked at every half minute, and SIGHUP "+
			"reloads it", "error", err)
		return nil, nil
	}
	return w, w.Events
}

// fileStamp tells one state of the model file from another without reading it.
func (k *keeper) fileStamp() string {
	if len(k.cfg.Classifier.Models) == 0 {
		return ""
	}
	info, err := os.Stat(k.cfg.Classifier.Models[0].File)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(info.Size(), info.ModTime().UnixNano())
}

func (k *keeper) fileChanged(ctx context.Context) {
	if stamp := k.fileStamp(); stamp != k.stamp {
		k.again(ctx, false)
	}
}

// again loads what decides anew, the configuration too if asked to. What cannot be used is refused:
// the old stays in force.
func (k *keeper) again(ctx context.Context, configToo bool) {
	cfg, err := k.cfg, error(nil)
	if configToo {
		if cfg, err = k.reload(); err == nil {
			cfg.Privacy.Key = k.cfg.Privacy.Key // it never changes while conversations are known by it
		}
	}
	var brain *pipeline.Brain
	if err == nil {
		var line pipeline.LineConfig
		if line, err = lineConfig(cfg, runLine(cfg)); err == nil {
			brain = line.Brain()
			err = k.brains.Set(brain)
		}
	}
	k.stamp = k.fileStamp()
	if err != nil {
		k.log.Error("refused; what was there stays in force", "error", err)
		k.journal(kindModelRefused, map[string]string{
			"error": err.Error(), "kept": k.plain.Model.Name(), "kept_version": k.plain.Model.Version(),
			"kept_checksum": k.plain.Model.Checksum(),
		})
		k.flush(ctx)
		return
	}
	other := brain.Model.Checksum() != k.plain.Model.Checksum()
	k.cfg, k.plain = cfg, brain
	if other {
		k.standing = nil // another version starts anew
		k.loaded()
	}
	k.look(ctx)
}

// loaded tells of the model in force.
func (k *keeper) loaded() {
	m := k.plain.Model
	k.log.Info("model in force", "model", m.Name(), "version", m.Version(), "checksum", m.Checksum())
	k.journal(kindModelLoad, map[string]string{
		"model": m.Name(), "version": m.Version(), "checksum": m.Checksum(),
	})
}

// look reads the journal, takes labels back, and puts the result in force.
func (k *keeper) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, keeperTimeout)
	defer cancel()
	standing, err := readStanding(ctx, k.store, k.plain.Model.Checksum(), k.now())
	if err == nil {
		k.standing = standing
		err = k.takeBack(ctx)
	}
	k.complain(err)
	k.apply()
	k.flush(ctx)
}

// apply puts the proofs in force; it also lets them expire.
func (k *keeper) apply() {
	brain := *k.plain
	brain.Unproven = make(map[string][]bool)
	if k.standing != nil {
		head := &brain.Model.Heads()[0] // the one that decides
		labels := head.Labels
		for _, r := range k.standing.Accepted(k.now().UnixMilli()) {
			cut, ok := brain.Cutoffs[r.Tenant]
			if !ok {
				cut = brain.Cutoffs[""]
			}
			gates := make([]string, len(labels))
			for i := range labels {
				gates[i] = cut.Gate(i)
			}
			brain.Unproven[r.Tenant] = k.standing.Unproven(r.Tenant, head.Name, labels, gates,
				k.now().UnixMilli())
		}
	}
	if err := k.brains.Set(&brain); err != nil {
		k.log.Error("cannot put the acceptances in force", "error", err)
	}
}

// takeBack looks at live precision now and then, and takes back what has fallen below its target.
func (k *keeper) takeBack(ctx context.Context) error {
	if k.now().Sub(k.liveAt) < liveEvery {
		return nil
	}
	k.liveAt = k.now()
	for _, r := range k.standing.Accepted(k.now().UnixMilli()) {
		if r.Head != k.plain.Model.Heads()[0].Name {
			continue // what another head says is not executed, so nothing live judges it
		}
		live, err := readLive(ctx, k.store, &r)
		if err != nil {
			return err
		}
		back, ok := accept.TakenBack(r, live)
		if !ok {
			continue
		}
		back.AtMS = k.now().UnixMilli()
		k.log.Warn("live precision fell below its target: the label acts alone no more",
			"tenant", r.Tenant, "label", r.Label, "right", live.Right, "of", live.N, "target", r.Precision)
		entry, err := acceptEntry(back, k.instance)
		if err != nil {
			return err
		}
		k.pending = append(k.pending, entry)
		k.standing = k.standing.With(back)
	}
	return nil
}

// pendingMax bounds what is kept while the store is away; the oldest rows go first.
const pendingMax = 256

func (k *keeper) journal(kind string, detail map[string]string) {
	b, err := json.Marshal(detail)
	if err != nil {
		k.log.Error("cannot write a journal row", "error", err)
		return
	}
	k.pending = append(k.pending, journalEntry{Kind: kind, Instance: k.instance, Detail: string(b), At: k.now()})
}

// flush writes what is pending, or keeps it for the next look.
func (k *keeper) flush(ctx context.Context) {
	if len(k.pending) > pendingMax {
		k.log.Warn("journal rows are lost: the store is away", "rows", len(k.pending)-pendingMax)
		k.pending = k.pending[len(k.pending)-pendingMax:]
	}
	if len(k.pending) == 0 {
		return
	}
	if err := writeJournal(ctx, k.store, k.pending); err != nil {
		k.complain(err)
		return
	}
	k.pending = k.pending[:0]
}

// fellBack is told of an answer without a score. It never waits: what is too much is not written.
func (k *keeper) fellBack(reason route.Reason, tenant string) {
	select {
	case k.fallback <- [2]string{reason.String(), tenant}:
	default:
	}
}

// noteFallback makes the journal row; it is written with the next look.
func (k *keeper) noteFallback(reason, tenant string) {
	kind := kindFallback
	if reason == route.ReasonTimeout.String() {
		kind = kindTimeout
	}
	k.journal(kind, map[string]string{"reason": reason, "where": classify.Topic})
	k.pending[len(k.pending)-1].Tenant = tenant
}

func (k *keeper) flushNow(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, keeperTimeout)
	defer cancel()
	k.flush(ctx)
}

// complain says each trouble with the store once.
func (k *keeper) complain(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != k.said {
		k.log.Warn("the journal cannot be reached; the latest known acceptances hold", "error", err)
	}
	k.said = text
}
