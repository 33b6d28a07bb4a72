"""What training a network on the array gives: unit and definition of every key."""

from __future__ import annotations

from .own_data_quantities import COUNT, FRACTION, PULSES

THOUSAND = "thousand"
NATS = "nats/character"

NETWORKS: dict[str, tuple[str, str]] = {
    "test_rmse": (THOUSAND, "RMS error of one-step-ahead forecasts of the 48 test months, by products on the array"),
    "train_rmse": (THOUSAND, "the same on the months trained on"),
    "float_twin_test_rmse": (THOUSAND, "test_rmse of the same model in plain float32 torch, same optimiser and order"),
    "float_twin_train_rmse": (THOUSAND, "train_rmse of the float twin"),
    "test_rmse_over_twin": ("", "test_rmse over that of the float twin"),
    "persistence_rmse": (THOUSAND, "test error of forecasting last month again"),
    "seasonal_naive_rmse": (THOUSAND, "test error of forecasting the same month of last year"),
    "seasonal_ratio_rmse": (THOUSAND, "test error of y[t−12]·y[t−1]/y[t−13]"),
    "linear_ar13_rmse": (THOUSAND, "test error of a linear autoregression of order 13 on logarithms"),
    "test_accuracy": (FRACTION, "test examples recognised, by products on the array"),
    "train_accuracy": (FRACTION, "training examples recognised, by products on the array"),
    "float_twin_accuracy": (
        FRACTION,
        "test_accuracy of the same model in plain float32 torch, same optimiser and order",
    ),
    "majority_accuracy": (FRACTION, "test examples that are of the commonest class of the training set"),
    "bigram_accuracy": (FRACTION, "test characters that most often followed the one before in the training text"),
    "accuracy_over_twin": ("", "test_accuracy over float_twin_accuracy"),
    "test_examples": (COUNT, "examples behind test_accuracy"),
    "bit_error_rate": ("", "wrong bits over bits sent at the SNR trained at, own decisions fed back, on the array"),
    "float_twin_bit_error_rate": ("", "bit_error_rate of the same model in plain float32 torch, trained alike"),
    "ffe_bit_error_rate": ("", "bit_error_rate of a feed-forward equalizer adapted by LMS, tuned at this SNR"),
    "ffe_dfe_bit_error_rate": ("", "bit_error_rate of one that also feeds back its decisions, LMS, tuned at this SNR"),
    "mlse_bit_error_rate": ("", "bit_error_rate of the most likely sequence (Viterbi), the channel being known"),
    "bit_error_rate_over_ffe_dfe": ("", "bit_error_rate over ffe_dfe_bit_error_rate"),
    "true_feedback_bit_error_rate": ("", "bit_error_rate when the symbols sent are fed back: no error goes on"),
    "bit_errors": (COUNT, "wrong bits behind bit_error_rate; below 100 it is no more than a bound"),
    "bits_tested": (COUNT, "bits behind bit_error_rate"),
    "error_burst_length": ("", "symbols from the first wrong one of a burst to its last, mean over bursts"),
    "eye_opening_before": ("", "height of the worst eye of the samples over the distance of levels; closed below 0"),
    "eye_opening_after": ("", "the same of the equalizer's outputs on the array"),
    "weights": (COUNT, "weights of the network, each once however many copies it has"),
    "cells_used": (COUNT, "cells that hold the weights"),
    "steps": (COUNT, "updates that training wrote into the array"),
    "transactions_per_step": ("", "messages that made the array act, per update with its products and read-back"),
    "slots_per_step": ("", "pulse and read slots of the chip, per update with its products and read-back"),
    "reads_per_step": ("", "vectors the array multiplied per update, those of a read-back by products included"),
    "pulses_per_step": ("", "pulses given to cells per update, all cells together"),
    "float_accuracy": (
        FRACTION,
        "test examples recognised by a pretrained model in float32 torch, before it is written",
    ),
    **{
        f"inference_{way}accuracy_{at}": (FRACTION, f"test examples recognised by products on the array {when}{how}")
        for way, how in (("", ""), ("compensated_", ", every layer's outputs scaled by its drift factor"))
        for at, when in (
            ("first", "at the first look after programming"),
            ("day", "at the look nearest to a day after programming"),
            ("last", "at the last look after programming"),
        )
    },
    "inference_loss_day": (FRACTION, "float_accuracy less inference_compensated_accuracy_day"),
    "weight_error": (
        "",
        "RMS of weights as products see them less the wanted ones, over the RMS of those, at the end of programming; "
        "the largest of all layers",
    ),
    "programming_pulses_per_cell": (PULSES, "all pulses of writing a model over the cells that hold it"),
    "write_error_rest": ("S", "error of a pair of cells that was written to a weight of 0, at the age the plan says"),
    "write_error_share": ("", "part of that error that grows with the weight, over the weight's size"),
    "steps_to_criterion": (COUNT, "updates at the first checkpoint whose test accuracy reached the plan's criterion"),
    "float_twin_steps_to_criterion": (COUNT, "steps_to_criterion of the float twin"),
    "retrieval_error": (
        "",
        "RMS error of a value read from the associative memory alone, over the RMS of those stored, one copy",
    ),
    "reads_per_useful_push": (
        "",
        "vectors that stacked layers multiplied over those that were pushed: what always computing costs",
    ),
    "attachment_score": (FRACTION, "words of the test set whose head is right, by the parser's own transitions"),
    "float_twin_attachment_score": (FRACTION, "attachment_score of the float twin"),
    "attachment_over_twin": ("", "attachment_score over float_twin_attachment_score"),
    "distance_attachment_score": (FRACTION, "attachment_score of the commonest distance to the head of each tag"),
    "action_accuracy": (FRACTION, "transitions of the test set that are the oracle's, those before them being its own"),
    "test_words": (COUNT, "words behind attachment_score"),
    "scratch_accuracy": (FRACTION, "fraction of scratch_tested sequences recognised with A on scratch cells"),
    "host_memory_accuracy": (FRACTION, "the same sequences and weights, A on the host"),
    "scratch_tested": (COUNT, "sequences that were asked one by one with A on scratch cells"),
    "scratch_slope": ("", "A·r of the scratch cells over A·r of the host, least squares through 0"),
    "scratch_correlation": ("", "correlation of A·r of the scratch cells with A·r of the host"),
    "scratch_transactions": (COUNT, "transactions of one step of a sequence with A on scratch cells"),
    "scratch_pulses": (COUNT, "pulses of one step of a sequence with A on scratch cells, its part of a clearing too"),
    **{
        f"ramp_{what}_{when}_{bits}bit": (
            "LSB",
            f"largest |{what.upper()}| of a {bits}-bit ramp of cells {how} one-point calibration; median over ramps",
        )
        for bits in (3, 4, 5)
        for what in ("inl", "dnl")
        for when, how in (("before", "before"), ("after", "after"))
    },
    **{
        key: unit_and_meaning
        for bits in (3, 4, 5)
        for key, unit_and_meaning in (
            (f"ramp_true_{bits}bit", (FRACTION, f"ramps of {bits} bits whose codes are all within 1 LSB, calibrated")),
            (
                f"ramp_accuracy_{bits}bit",
                (FRACTION, f"test examples recognised, activation by ramps of cells at {bits} bits"),
            ),
            (
                f"ideal_accuracy_{bits}bit",
                (FRACTION, f"the same weights with ideal converters of {bits} bits behind the array's linear ones"),
            ),
            (
                f"ramp_drop_{bits}bit",
                (FRACTION, f"of the same examples, right with ideal {bits} bits less right with ramps"),
            ),
        )
    },
    "exact_accuracy": (FRACTION, "the same weights with the functions themselves on the host"),
    "ramp_programmings": (COUNT, "ramps behind the figures of each resolution"),
    "ramp_cells": (COUNT, "cells that the ramps of all resolutions take, each once"),
    "ramp_pulses_per_cell": (PULSES, "all pulses of programming ramps over the cells programmed"),
    "ramp_conversions_per_example": (COUNT, "currents compared with a ramp for one test example"),
    "retrieval_exponent": ("", "slope of log retrieval error over log copies, 1 to 8; −0.5 is the law 1/√copies"),
    "activation_error": (
        "",
        "RMS distance of the output circuits from the ideal clip, over the level they are held at, all columns",
    ),
    "activation_gain_spread": ("", "standard deviation over columns of an output circuit's fitted gain"),
    "activation_offset_spread": ("", "standard deviation over columns of its fitted offset, over the level"),
    "computed_accuracy": (
        FRACTION,
        "test_accuracy as the host computes it from conductances last read and circuits as measured",
    ),
    "ideal_activation_accuracy": (FRACTION, "computed_accuracy with the ideal activations"),
    "varied_accuracy": (
        FRACTION,
        "computed_accuracy with every conductance off by conductance_variation, mean over draws",
    ),
    "conductance_variation": (FRACTION, "standard deviation over itself that conductances are put off by, the largest"),
    "update_slots": (COUNT, "pulse slots of an update of all weights at random signs, counted by the array"),
    "update_rows": (COUNT, "rows of that update, one slot each at best"),
    "update_slots_per_row": ("", "update_slots over update_rows, the largest of updates of several sizes"),
    "test_loss": (NATS, "cross-entropy of the next character on the test text, by products on the array"),
    "train_text_loss": (NATS, "the same on the beginning of the text trained on, as long as the test text"),
    "validation_loss": (NATS, "the same on the validation text, at the last checkpoint"),
    "float_twin_test_loss": (NATS, "test_loss of the same model in plain float32 torch, same optimiser and order"),
    "float_twin_train_text_loss": (NATS, "train_text_loss of the float twin"),
    "unigram_floor": (NATS, "least loss on the test text of any table that sees no character: its own frequencies"),
    "bigram_floor": (NATS, "least loss on the test text of any table of the last character: the test text's own"),
    "bigram_loss": (NATS, "test loss of a table of the last character, counted on the training text"),
    "trigram_loss": (NATS, "test loss of a table of the last two characters, counted on the training text"),
    "below_bigram_floor": (NATS, "bigram_floor less test_loss: above 0, no bigram table can do as well"),
    "symbols": (COUNT, "symbols of the alphabet"),
    "characters_trained": (COUNT, "characters of the training text"),
    "characters_tested": (COUNT, "characters of the test text"),
    "folded_fraction": (FRACTION, "characters of the text that share the last symbol"),
    "products_halved": (COUNT, "vectors sent again with halved inputs, because the outputs' bound did not hold them"),
    "products_saturated": (COUNT, "vectors whose outputs no halving brought within the bound"),
}
