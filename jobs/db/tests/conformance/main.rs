//! What every backend must do, and the definition of the text forms: the same cases run on each.
//! A new backend is one line below and a [`place::Place`].

#![expect(
    clippy::unwrap_used,
    reason = "cases say what they expect by unwrapping it"
)]

mod dictionary;
mod faults;
mod limits;
mod loading;
mod mariadb;
#[cfg(feature = "odbc")]
mod odbc;
mod oracle;
mod place;
mod postgresql;
mod servers;
mod services;
mod transactions;
mod types;

/// Every case, as a test of its own on one backend.
macro_rules! backend {
    (server $name:ident, $own:ident, $place:path) => {
        backend!($name, $place);
        backend!(@cases $own, $place,
            servers: several_hosts, tls_as_asked, wrong_passwords_are_told, types_of_its_own, parts_share_a_snapshot,
                several_connections_see_one_moment, open_transactions_are_told, a_prepared_transaction_is_open,
                a_killed_session_is_transient, a_socket_is_a_host, cells_beyond_a_packet, without_the_fast_path;
        );
    };
    ($name:ident, $place:path) => {
        backend!(@cases $name, $place,
            types: numbers, texts, times, a_zone_is_not_lost, blobs, null_is_not_empty, expressions_learn_their_kind,
                params_meet_expressions, named_params, a_row_is_lent_as_often_as_asked, random_texts_and_numbers;
            loading: append_skip_upsert, bad_rows_go_others_stay, a_broken_rule_names_its_column, dropped_is_undone,
                dropped_within_a_transaction_takes_only_its_own, outside_a_transaction_finish_commits,
                generated_and_left_out_columns, a_wrong_row_or_column_is_an_error, many_rows,
                a_key_twice_in_one_load_keeps_the_last, bad_rows_among_many_are_found_one_by_one;
            transactions: rollback_undoes, commit_keeps, a_snapshot_stays_the_same, readers_see_no_unfinished_work,
                counts_of_changes, batches, what_is_described_is_not_run, a_refused_statement_leaves_the_transaction_as_it_was, a_query_left_early_costs_nothing_else;
            dictionary: tells_columns_and_keys, what_it_makes_it_reads, names_of_all_sorts, tables_and_views;
            faults: kinds, a_lock_is_transient, no_database, params_must_fit;
            limits: cancel_stops_within_a_second, a_long_statement_times_out, a_slow_reader_does_not_time_out;
        );
    };
    (odbc $name:ident, $place:path, served, $($room:ident: $($case:ident),*;)*) => {
        backend!(odbc $name, $place,
            types: numbers, texts, blobs, expressions_learn_their_kind, random_texts_and_numbers;
            loading: a_broken_rule_names_its_column;
            transactions: a_snapshot_stays_the_same, a_query_left_early_costs_nothing_else;
            faults: kinds;
            limits: cancel_stops_within_a_second, a_long_statement_times_out;
            $($room: $($case),*;)*
        );
    };
    (odbc $name:ident, $place:path, $($room:ident: $($case:ident),*;)*) => {
        backend!(@cases $name, $place,
            types: times, a_zone_is_not_lost, null_is_not_empty, params_meet_expressions, named_params, a_row_is_lent_as_often_as_asked;
            loading: append_skip_upsert, bad_rows_go_others_stay, dropped_is_undone, dropped_within_a_transaction_takes_only_its_own,
                outside_a_transaction_finish_commits, generated_and_left_out_columns, a_wrong_row_or_column_is_an_error, many_rows,
                a_key_twice_in_one_load_keeps_the_last;
            transactions: rollback_undoes, commit_keeps, readers_see_no_unfinished_work, counts_of_changes, batches,
                a_refused_statement_leaves_the_transaction_as_it_was;
            dictionary: tells_columns_and_keys, what_it_makes_it_reads, tables_and_views;
            faults: a_lock_is_transient, params_must_fit;
            limits: a_slow_reader_does_not_time_out;
            $($room: $($case),*;)*
        );
    };
    (@cases $name:ident, $place:path, $($room:ident: $($case:ident),*;)*) => {
        mod $name {
            $($(
                #[test]
                fn $case() {
                    crate::$room::$case(&$place());
                }
            )*)*
        }
    };
}

backend!(sqlite, crate::place::sqlite);
backend!(server postgres, postgres_server, crate::place::postgres);
backend!(server mysql, mysql_server, crate::place::mysql);

// what a driver of ODBC cannot do is left out here, with the reason in `odbc.rs`
#[cfg(feature = "odbc")]
backend!(odbc odbc_sqlite, crate::odbc::sqlite,);
#[cfg(feature = "odbc")]
backend!(odbc odbc_mysql, crate::odbc::mysql, served,);
#[cfg(feature = "odbc")]
backend!(odbc odbc_postgres, crate::odbc::postgres, served, transactions: what_is_described_is_not_run; dictionary: names_of_all_sorts;);
