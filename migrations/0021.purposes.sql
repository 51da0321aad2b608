-- Every kind of message and its rules, one row each: what it waits for, what withdraws it, and the functions that the later files bring for it.
-- Locks: ACCESS EXCLUSIVE on messaging.purposes (a few rows) while columns are added.
-- depends: 0020.app

set local lock_timeout = '5s';

alter table messaging.purposes
add column do_not_disturb boolean not null default false,
add column opt_out boolean not null default false,
add column silence interval,
add column nudge boolean not null default false,
add column on_rejected text;
comment on column messaging.purposes.do_not_disturb is 'True: waits while the person wants peace, or while one of us talks with the person by hand.';
comment on column messaging.purposes.opt_out is 'True: withdrawn where the person has opted out.';
comment on column messaging.purposes.silence is 'Withdrawn where the person has not written for so long. Null: silence does not matter.';
comment on column messaging.purposes.nudge is 'True: a message of the person withdraws it, for it asked for one.';
comment on column messaging.purposes.on_rejected is
'Function (message_id bigint) returns void, in schema messaging: what a definite refusal asks for, such as a text in place of an audio.';

insert into messaging.purposes (
    purpose, lane, quiet_hours, do_not_disturb, opt_out, expires_after, on_unknown, silence, nudge, still_due, on_accepted, on_rejected
)
values
-- Solicited: it answers what the person just did, and knows no rule but its expiry.
('upgrade', 'timed', false, false, false, '24 hours', 'hold', null, false, null, 'effect_history', null),
('welcome_back', 'timed', false, false, false, '24 hours', 'hold', null, false, null, 'effect_history', null),
('farewell', 'timed', false, false, false, '24 hours', 'hold', null, false, null, 'effect_history', null),
('payment', 'timed', false, false, false, '24 hours', 'hold', null, false, null, 'effect_history', null),
('meditation_intro', 'timed', false, false, false, '6 hours', 'hold', null, false, null, 'effect_history', null),
('meditation', 'timed', false, false, false, '6 hours', 'hold', null, false, null, 'effect_meditation', 'fallback_meditation'),
-- Around a session that the person booked. What a window is shorter than says each message itself.
('session_24h', 'timed', true, false, true, '6 hours', 'drop', null, false, 'due_session_24h', 'effect_session_24h', null),
('session_1h', 'timed', false, false, true, '1 hour', 'drop', null, false, 'due_session_1h', 'effect_session_1h', null),
('session_15m', 'timed', false, false, true, '1 hour', 'drop', null, false, 'due_session_15m', 'effect_session_15m', null),
('session_start', 'timed', false, false, true, '1 hour', 'drop', null, false, 'due_session_start', 'effect_session_start', null),
('session_nudge', 'timed', false, false, true, '1 hour', 'drop', null, true, 'due_session_nudge', null, null),
('session_missed', 'timed', true, false, true, '6 hours', 'drop', null, false, 'due_session_missed', null, null),
('session_abandoned', 'timed', true, false, true, '6 hours', 'drop', null, false, null, null, null),
('session_summary', 'timed', false, false, true, '6 hours', 'hold', null, false, 'due_session_summary', 'effect_session_summary', null),
('session_rating', 'timed', false, false, true, '6 hours', 'hold', null, false, 'due_session_rating', 'effect_session_rating', null),
-- Ours to begin.
(
    'commitment_followup', 'bulk', true, true, true, '24 hours', 'drop', '7 days', false, 'due_commitment_followup', 'effect_commitment_followup', null
),
('checkin', 'bulk', true, true, true, '24 hours', 'drop', null, true, 'due_checkin', 'effect_checkin', null),
('reactivation', 'bulk', true, true, true, '24 hours', 'drop', null, true, 'due_reactivation', 'effect_reactivation', null),
(
    'reactivation_missed', 'bulk', true, true, true, '24 hours', 'drop', null, false, 'due_reactivation_missed', 'effect_reactivation_missed', null
),
(
    'conversation_followup', 'bulk', true, true, true, '2 hours', 'drop', null, true,
    'due_conversation_followup', 'effect_conversation_followup', null
),
('weekly_report', 'bulk', true, true, true, '24 hours', 'hold', '7 days', false, 'due_weekly_report', 'effect_weekly_report', null),
('content', 'bulk', true, true, true, '24 hours', 'hold', null, false, 'due_content', 'effect_content', null),
('content_completed', 'bulk', true, true, true, '24 hours', 'hold', null, false, 'due_content_completed', 'effect_content_completed', null),
('schedule_setup', 'bulk', true, true, true, '24 hours', 'drop', null, false, 'due_schedule_setup', 'effect_schedule_setup', null),
('schedule_renewal', 'bulk', true, true, true, '24 hours', 'drop', null, false, 'due_schedule_renewal', 'effect_schedule_renewal', null)
on conflict (purpose) do update
set
    do_not_disturb = excluded.do_not_disturb, opt_out = excluded.opt_out, silence = excluded.silence, nudge = excluded.nudge,
    still_due = excluded.still_due, on_accepted = excluded.on_accepted, on_rejected = excluded.on_rejected;
