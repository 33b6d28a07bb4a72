/* A hardware table without a hardware: cells that move by one fixed step a pulse, read without noise. */
#ifndef STEP_CELLS_H
#define STEP_CELLS_H

#include "xb_board.h"

#define STEP_ROWS 16
#define STEP_COLS 8

typedef struct {
    double weight[STEP_ROWS][STEP_COLS]; /* -1 to 1 */
    int connected, realtime;
    uint64_t (*now_us)(void);
    void (*sleep_us)(uint64_t us); /* 0: time does not pass */
    void (*send)(const uint8_t *bytes, size_t count);
    double sum_volts; /* of pulses, so that a pulse is not optimised away in a test */
} step_cells;

extern const xb_caps STEP_CAPS;
extern const xb_hardware STEP_CALLS;

#endif
