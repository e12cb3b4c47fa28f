package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/cmd/usher/internal/config"
)

// view is where a status looks.
type view struct {
	cfg        *config.Config
	admin      string // empty: none is known
	adminToken config.Secret
	store      *store
	kafka      *kgo.Client
	close      func()
}

// openView uses what is configured. In a data directory only what a demo runs there is asked: nothing
// is started to look.
func (a *app) openView(ctx context.Context, dir string) (*view, error) {
	v := &view{cfg: a.cfg, close: func() {}}
	if dir != "" {
		note, err := os.ReadFile(filepath.Join(dir, adminFile))
		if errors.Is(err, os.ErrNotExist) {
			return nil, notHeldf("no demo runs on %s: usher demo --data %s starts one", dir, dir)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read where the demo answers: %w", err)
		}
		v.admin = strings.TrimSpace(string(note))
	}
	if err := a.cfg.LoadSecrets(); err != nil {
		return nil, err
	}
	v.adminToken = a.cfg.Admin.Token
	if dir == "" && a.cfg.Admin.Addr != "" {
		v.admin = "http://" + a.cfg.Admin.Addr + "/"
	}
	s, closeStore, err := a.openStore(ctx, dir)
	if err != nil {
		return nil, err
	}
	opts, closeKafka, err := a.openKafka(ctx, dir)
	if err != nil {
		closeStore()
		return nil, err
	}
	v.store = s
	if v.kafka, err = kgo.NewClient(append(opts, kgo.RequestRetries(1))...); err != nil {
		closeStore()
		closeKafka()
		return nil, usagef("cannot use the kafka settings: %w", err)
	}
	v.close = func() {
		v.kafka.Close()
		closeKafka()
		closeStore()
	}
	return v, nil
}

// look asks all three; what fails is a problem of the report.
func (v *view) look(ctx context.Context) *statusReport {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	r := &statusReport{Problems: []string{}}
	v.lookService(ctx, r)
	if err := v.lookKafka(ctx, r); err != nil {
		r.Problems = append(r.Problems, "Kafka: "+err.Error())
	}
	if err := v.lookStore(ctx, r); err != nil {
		r.Problems = append(r.Problems, "store: "+err.Error())
	}
	if r.Missing != nil && r.Duplicated != nil && *r.Missing+*r.Duplicated != 0 {
		r.Problems = append(r.Problems, "the balance does not hold: usher audit")
	}
	return r
}

func (v *view) lookService(ctx context.Context, r *statusReport) {
	s := &r.Service
	s.Address, s.State = v.admin, "away"
	if v.admin == "" {
		s.Reason = "admin.addr is empty"
		r.Problems = append(r.Problems, "service: "+s.Reason)
		return
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, v.admin+"readyz", nil)
	if err == nil {
		if v.adminToken.IsSet() {
			req.Header.Set("Authorization", "Bearer "+v.adminToken.Reveal())
		}
		var resp *http.Response
		if resp, err = http.DefaultClient.Do(req); err == nil {
			defer resp.Body.Close()
			s.State = "ready"
			if resp.StatusCode == http.StatusOK {
				return
			}
			var body struct {
				Reason string `json:"reason"`
			}
			_ = json.NewDecoder(io.LimitReader(resp.Body, errorTextMax)).Decode(&body)
			s.State, s.Reason = "not ready", body.Reason
			if s.Reason == "" {
				s.Reason = "it answers " + resp.Status
			}
		}
	}
	if err != nil {
		s.Reason = "nothing answers there"
	}
	r.Problems = append(r.Problems, "service "+s.State+": "+s.Reason)
}

func (v *view) lookKafka(ctx context.Context, r *statusReport) error {
	adm := kadm.NewClient(v.kafka)
	k := auditKafka(v.cfg, 0)
	events, err := behind(ctx, adm, k.RouterGroup, k.InputTopics[0])
	if err != nil {
		return err
	}
	blocks, err := behind(ctx, adm, k.SinkGroup, k.RowsTopic)
	if err != nil {
		return err
	}
	newest, err := adm.ListMaxTimestampOffsets(ctx, k.RowsTopic)
	if err != nil {
		return err
	}
	r.LagEvents, r.LagBlocks = &events, &blocks
	newest.Each(func(o kadm.ListedOffset) {
		if at := time.UnixMilli(o.Timestamp).UTC(); o.Timestamp > 0 &&
			(r.LastCommit == nil || at.After(*r.LastCommit)) {
			r.LastCommit = &at
		}
	})
	return nil
}

// behind is how many records of the topic the group has not committed.
func behind(ctx context.Context, adm *kadm.Client, group, topic string) (int64, error) {
	ends, err := adm.ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return 0, fmt.Errorf("cannot read the end of %s: %w", topic, err)
	}
	starts, err := adm.ListStartOffsets(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("cannot read the start of %s: %w", topic, err)
	}
	have, err := adm.FetchOffsets(ctx, group)
	if err != nil {
		return 0, fmt.Errorf("cannot read the offsets of %s: %w", group, err)
	}
	var n int64
	ends.Each(func(end kadm.ListedOffset) {
		at := int64(0)
		if start, ok := starts.Lookup(topic, end.Partition); ok {
			at = start.Offset
		}
		if o, ok := have.Lookup(topic, end.Partition); ok {
			at = max(at, o.At)
		}
		n += max(0, end.Offset-at)
	})
	return n, nil
}

const (
	sqlWaiting = `SELECT count(), max(toInt64(dateDiff('millisecond', waiting_since, now64(3))))
 FROM conversations_latest WHERE waiting_since IS NOT NULL AND closed_at IS NULL AND voided = ''
 AND opened_at >= now() - INTERVAL %d DAY`
	sqlAudit = `SELECT sum(missing), sum(duplicated), toUnixTimestamp64Milli(max(at)) FROM delivery_audit
 WHERE at = (SELECT max(at) FROM delivery_audit) HAVING count() > 0`
	sqlModel = `SELECT ifNull(model_name, ''), ifNull(model_version, ''), ifNull(model_checksum, ''),
 ifNull(model_mode, '') FROM decisions WHERE model_name IS NOT NULL ORDER BY emitted_at DESC LIMIT 1`
)

func (v *view) lookStore(ctx context.Context, r *statusReport) error {
	var oldest *int64
	if err := v.store.ask(ctx, fmt.Sprintf(sqlWaiting, waitingDays), &r.Waiting, &oldest); err != nil {
		return explain(err)
	}
	if r.Waiting != nil && *r.Waiting > 0 {
		r.OldestMS = oldest
	}
	var audited *int64
	if err := v.store.ask(ctx, sqlAudit, &r.Missing, &r.Duplicated, &audited); err != nil {
		return explain(err)
	}
	if audited != nil {
		at := time.UnixMilli(*audited).UTC()
		r.AuditedAt = &at
	}
	rows, err := v.store.rows(ctx, sqlModel, nil)
	if err != nil {
		return explain(err)
	}
	if len(rows) == 1 && len(rows[0]) == 4 {
		cell := func(i int) string { return fmt.Sprint(rows[0][i]) }
		r.Model = &modelStatus{Name: cell(0), Version: cell(1), Checksum: cell(2), Mode: cell(3)}
	}
	return nil
}
