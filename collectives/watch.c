/* SPDX-License-Identifier: BSD-3-Clause
 * watch.c: at a gate the absent are known; amid data only neighbours are, so when nothing moves
 * any more everybody is asked, and who is silent while others wait for it is named. At a gate of
 * messages everybody is asked in good time, too: peers that are absent but answer wait themselves
 * for somebody, whose last word reached this rank and not them. Of many ranks only rank 0 can ask
 * everybody: it does so early, and the others wait a little longer for what it says. Where they
 * announce along a tree the roll call also tells it which ones did, so it asks before it warns,
 * too. Of ranks on this host the system knows whether they are there at all: that is asked soon.
 * Who did not look for long, as a suspended job does not, knows nothing of that time: nobody was
 * silent then. */
#include "watch.h"

#include <stdio.h>

#include "internal/log.h"

#define NS_PER_S 1e9
#define NAMED_MOST 4
/* How long silent ranks have to answer a roll call; an error comes within a second of its time. */
#define ROLL_CALL_NS UINT64_C(400000000)
/* After a peer gave up, what it sent before may so long be still on its way. */
#define NEWS_PATIENCE_NS UINT64_C(500000000)
/* Many ranks wait so much longer for rank 0, which is the one to name the absent. */
#define STAR_PATIENCE_NS UINT64_C(500000000)
/* When nothing moves it is asked so often whether those awaited still live, and of how many. */
#define ALIVE_NS UINT64_C(200000000)
#define ASKED_MOST 64
/* Whoever waits looks more often, however many share its core. */
#define UNSEEN_NS UINT64_C(1000000000)

/* What there is to say of the ranks that are named. */
enum verdict {
    ABSENT, /* they did not come to the gate */
    SILENT, /* somebody waits for it, and it does not answer */
    AWAITED /* this rank waits for it, which may be just as innocent */
};

/* Writes up to NAMED_MOST ranks and returns how many there are. */
static int find_awaited(const struct watched *watched, bool asked, int *ranks,
                        enum verdict *verdict)
{
    bool at_gate = watched->run->state == RUN_AT_GATE;
    int missing = at_gate && asked ? gate_missing_silent(watched->gate, ranks, NAMED_MOST) : 0;
    *verdict = gate_sees_all(watched->gate) ? ABSENT : SILENT;
    if (missing > 0) {
        return missing;
    }
    ranks[0] = !at_gate || asked ? gate_silent(watched->gate) : -1;
    if (ranks[0] >= 0) {
        *verdict = SILENT;
        return 1;
    }
    if (at_gate) {
        *verdict = gate_sees_all(watched->gate) ? ABSENT : AWAITED;
        return gate_missing(watched->gate, ranks, NAMED_MOST);
    }
    *verdict = AWAITED;
    ranks[0] = run_awaited_peer(watched->run, watched->space);
    return ranks[0] >= 0;
}

static const char *host_of(const struct watched *watched, int rank)
{
    return watched->topology->host_name[watched->topology->host_of[rank]];
}

/* "rank 3 (node7), rank 5 (node8) and 2 more". */
static enum verdict name_awaited(const struct watched *watched, bool asked, char *text,
                                 size_t bytes)
{
    int ranks[NAMED_MOST];
    enum verdict verdict;
    int count = find_awaited(watched, asked, ranks, &verdict);
    size_t used = 0;
    snprintf(text, bytes, "its peers");
    for (int i = 0; i < count && i < NAMED_MOST && used < bytes; i++) {
        used += (size_t)snprintf(text + used, bytes - used, "%srank %d (%s)", i == 0 ? "" : ", ",
                                 ranks[i], host_of(watched, ranks[i]));
    }
    if (count > NAMED_MOST && used < bytes) {
        snprintf(text + used, bytes - used, " and %d more", count - NAMED_MOST);
    }
    return verdict;
}

/* Nobody knows who is to blame: whoever announced what comes next need not answer, and may compute;
 * but what it sent before may be lost. Of many ranks rank 0 would know. Who does not answer is
 * worth a word. */
static enum ww_status time_out_unknown(const struct watch *watch, const struct watched *watched,
                                       const char *who, const char *what)
{
    int own = watched->topology->rank;
    int mutes[1];
    char mute[HOST_NAME_BYTES + 48] = "";
    if (watch->roll_called && gate_unanswered(watched->gate, mutes, 1) > 0 && mutes[0] != own) {
        snprintf(mute, sizeof mute, "rank %d (%s) does not answer, and ", mutes[0],
                 host_of(watched, mutes[0]));
    }
    return log_failure(WW_TIMED_OUT,
                       "%srank %d (%s) waited %.3g s (timeout_s) for %s, which may itself wait for "
                       "another one, in %s",
                       mute, own, host_of(watched, own), (double)watch->timeout_ns / NS_PER_S, who,
                       what);
}

static enum ww_status time_out(const struct watch *watch, const struct watched *watched)
{
    struct signature signature = run_signature(&watched->run->request);
    char who[256];
    char what[SIGNATURE_TEXT_BYTES];
    enum verdict verdict = name_awaited(watched, watch->roll_called, who, sizeof who);
    signature_print(&signature, what, sizeof what);
    if (verdict == AWAITED) {
        return time_out_unknown(watch, watched, who, what);
    }
    int size = watched->topology->size;
    char came[64] = "";
    if (verdict == ABSENT && gate_sees_all(watched->gate)) {
        int ranks[NAMED_MOST];
        snprintf(came, sizeof came, "; %d of %d ranks came",
                 size - gate_missing(watched->gate, ranks, NAMED_MOST), size);
    }
    /* In a tree one that came, and then neither passes on what others announce nor answers, looks
     * like one that did not. */
    const char *absent = gate_relays(watched->gate) ? "did not come to, or does not answer in,"
                                                    : "did not come to";
    return log_failure(WW_TIMED_OUT, "%s %s %s within %.3g s (timeout_s)%s", who,
                       verdict == ABSENT ? absent : "went silent in", what,
                       (double)watch->timeout_ns / NS_PER_S, came);
}

static void warn_once(struct watch *watch, const struct watched *watched, uint64_t quiet_ns)
{
    if (watch->warned || quiet_ns < watch->warn_ns) {
        return;
    }
    watch->warned = true;
    struct signature signature = run_signature(&watched->run->request);
    char who[256];
    char what[SIGNATURE_TEXT_BYTES];
    enum verdict verdict = name_awaited(watched, false, who, sizeof who);
    signature_print(&signature, what, sizeof what);
    bool at_gate = watched->run->state == RUN_AT_GATE;
    log_warn("waiting for %s%s %s %s since %.3g s; gives up after %.3g s (timeout_s)", who,
             at_gate && verdict == AWAITED ? ", or others that it waits for," : "",
             at_gate ? "to come to" : "in", what, (double)quiet_ns / NS_PER_S,
             (double)watch->timeout_ns / NS_PER_S);
}

/* Rank 0 of a tree learns by a roll call who of a branch it is that did not come. */
static void ask_who_came(struct watch *watch, const struct watched *watched, uint64_t quiet_ns)
{
    bool asks = gate_relays(watched->gate) && gate_sees_all(watched->gate) &&
                watched->run->state == RUN_AT_GATE;
    if (asks && !watch->asked && quiet_ns >= watch->warn_ns / 2) {
        watch->asked = true;
        gate_call_roll(watched->gate, true);
    }
}

static uint64_t limit_ns(const struct watch *watch, const struct watched *watched)
{
    bool at_gate = watched->run->state == RUN_AT_GATE;
    bool asks_the_centre = gate_is_star(watched->gate) && watched->topology->rank != 0 &&
                           !(at_gate && gate_sees_all(watched->gate));
    return watch->timeout_ns + (asks_the_centre ? STAR_PATIENCE_NS : 0);
}

static void call_roll(struct watch *watch, const struct watched *watched, uint64_t now_ns)
{
    if (!watch->roll_called) {
        watch->roll_called = true;
        watch->roll_called_ns = now_ns;
        gate_call_roll(watched->gate, watched->run->state == RUN_AT_GATE);
    }
}

/* True while ranks may still answer the roll, which is called first. */
static bool roll_call_runs(struct watch *watch, const struct watched *watched, uint64_t now_ns)
{
    if (watched->run->state == RUN_AT_GATE) {
        return false;
    }
    call_roll(watch, watched, now_ns);
    return now_ns - watch->roll_called_ns < ROLL_CALL_NS;
}

/* Whom this rank waits for, -1 when nobody knows. */
static int awaited_peer(const struct watched *watched)
{
    int ranks[1];
    if (watched->run->state != RUN_AT_GATE) {
        return run_awaited_peer(watched->run, watched->space);
    }
    return gate_missing(watched->gate, ranks, 1) > 0 ? ranks[0] : -1;
}

/* An awaited rank whose process ended, -1 = none. */
static int find_ended(const struct watched *watched)
{
    const struct ww_transport *transport = watched->space->transport;
    int ranks[ASKED_MOST];
    int count = 0;
    if (watched->run->state == RUN_AT_GATE) {
        count = gate_missing(watched->gate, ranks, ASKED_MOST);
    } else {
        ranks[0] = run_awaited_peer(watched->run, watched->space);
        count = ranks[0] >= 0;
    }
    int found = -1;
    for (int i = 0; i < count && i < ASKED_MOST && found < 0; i++) {
        found = transport->ended(watched->space->fabric, ranks[i]) ? ranks[i] : -1;
    }
    return found;
}

/* What a rank did last may be seen only after it is found ended: it counts as missing when it is
 * still awaited the next time. */
static int missing_for_ever(struct watch *watch, const struct watched *watched, uint64_t now_ns)
{
    bool asks = watched->space->transport->ended != NULL &&
                now_ns > watch->last_move_ns + ALIVE_NS && now_ns > watch->asked_ns + ALIVE_NS;
    if (!asks) {
        return -1;
    }
    int before = watch->ended_rank;
    watch->asked_ns = now_ns;
    watch->ended_rank = find_ended(watched);
    return watch->ended_rank == before ? before : -1;
}

/* Unless it told why, before it ended. */
static enum ww_status tell_of_the_ended(const struct watched *watched, int rank)
{
    struct signature signature = run_signature(&watched->run->request);
    char what[SIGNATURE_TEXT_BYTES];
    enum ww_status heard = gate_hear(watched->gate);
    if (heard != WW_OK) {
        return heard;
    }
    signature_print(&signature, what, sizeof what);
    return log_failure(WW_PEER_FAILED, "rank %d (%s) is gone: its process ended %s %s", rank,
                       host_of(watched, rank),
                       watched->run->state == RUN_AT_GATE ? "and did not come to" : "amid", what);
}

static void begin(struct watch *watch, uint64_t now_ns)
{
    watch->last_move_ns = now_ns;
    watch->ended_rank = -1;
    watch->resting = false;
    watch->warned = false;
    watch->roll_called = false;
    watch->asked = false;
}

/* True when nothing came in good time after a peer gave up. */
static bool news_are_old(struct watch *watch, const struct watched *watched, uint64_t now_ns)
{
    if (!gate_has_news(watched->gate)) {
        return false;
    }
    if (watch->news_ns == 0) {
        watch->news_ns = now_ns;
    }
    uint64_t since_ns = watch->news_ns > watch->last_move_ns ? watch->news_ns : watch->last_move_ns;
    return now_ns > since_ns + NEWS_PATIENCE_NS;
}

/* Where it did not look for so long that this process was stopped, or at something else, that time
 * is as if it had not been. */
static void skip_unseen(struct watch *watch, uint64_t now_ns)
{
    uint64_t least_ns = watch->timeout_ns / 4 > UNSEEN_NS ? watch->timeout_ns / 4 : UNSEEN_NS;
    if (now_ns > watch->looked_ns + least_ns) {
        uint64_t unseen_ns = now_ns - watch->looked_ns;
        watch->last_move_ns += unseen_ns;
        watch->roll_called_ns += unseen_ns;
    }
    watch->looked_ns = now_ns;
}

enum ww_status watch_look(struct watch *watch, const struct watched *watched, uint64_t moves,
                          uint64_t now_ns)
{
    skip_unseen(watch, now_ns);
    if (watch->resting || moves != watch->moves) {
        watch->moves = moves;
        begin(watch, now_ns);
        return WW_PENDING;
    }
    if (news_are_old(watch, watched, now_ns)) {
        return gate_hear(watched->gate);
    }
    int ended = missing_for_ever(watch, watched, now_ns);
    if (ended >= 0) {
        return tell_of_the_ended(watched, ended);
    }
    uint64_t quiet_ns = now_ns > watch->last_move_ns ? now_ns - watch->last_move_ns : 0;
    ask_who_came(watch, watched, quiet_ns);
    warn_once(watch, watched, quiet_ns);
    if (quiet_ns < watch->timeout_ns / 4) {
        return WW_PENDING;
    }
    gate_waits_for(watched->gate, awaited_peer(watched));
    bool early = watched->run->state == RUN_AT_GATE || gate_is_star(watched->gate);
    if (early && quiet_ns >= watch->timeout_ns / 4 * 3) {
        call_roll(watch, watched, now_ns);
    }
    if (quiet_ns < limit_ns(watch, watched) || roll_call_runs(watch, watched, now_ns)) {
        return WW_PENDING;
    }
    /* Somebody may have given up a moment ago, and said why. */
    enum ww_status heard = gate_hear(watched->gate);
    return heard == WW_OK ? time_out(watch, watched) : heard;
}

void watch_rest(struct watch *watch)
{
    watch->resting = true;
}

void watch_init(struct watch *watch, double timeout_s, double warn_s)
{
    *watch = (struct watch){.ended_rank = -1,
                            .timeout_ns = (uint64_t)(timeout_s * NS_PER_S),
                            .warn_ns = (uint64_t)(warn_s * NS_PER_S)};
}
