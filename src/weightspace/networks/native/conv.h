// A convolution with the norm, activation and 2x2 max pooling that follow it.
#pragma once

#include "maps.h"
#include "values.h"

namespace ws {

struct ConvShape {
  int kernel, stride, padding;
  bool biased, normed, active, pooled;
};

template <class T> class Conv : public Layer<T> {
 public:
  Conv(ConvShape shape, Value<T>& in, Value<T>& out, Place place, Scratch<T>& scratch)
      : s_(shape), in_(in), out_(out), place_(place), scratch_(scratch), n_(in.n) {
    side_ = (in.side + 2 * s_.padding - s_.kernel) / s_.stride + 1;
    const int reach = s_.kernel - 1 - s_.padding;
    halo_ = s_.stride == 1 ? reach : 0;
    z_.make((size_t)out.channels * side_ * side_ * n_);
    dz_.make((size_t)out.channels * d_channel());
    norms_.resize(out.channels);
    forward_ = Map::convolution(in.channels, s_.kernel, s_.padding, in.side, side_, n_,
                                in.channel(), in.line(), Simd<T>::n, s_.stride);
    if (!in.wanted) return;
    backward_ = s_.stride == 1
                    ? Map::convolution(out.channels, s_.kernel, reach, side_, in.side, n_,
                                       d_channel(), d_line(), Simd<T>::n, 1)
                    : Map::transposed(out.channels, s_.kernel, reach, s_.stride, side_, in.side, n_);
  }

  static size_t weights(const ConvShape& s, int in, int out) {
    return (size_t)in * out * s.kernel * s.kernel;
  }

  void forward(Net<T>& net, bool training) override {
    const int area = s_.kernel * s_.kernel, depth = in_.channels * area, outs = out_.channels;
    const T* w = net.weights + place_.at;
    pack(outs, area, in_.channels, scratch_.packed.p, [&](int o, int tap, int c) {
      return w[(ptrdiff_t)o * depth + c * area + tap];
    });
    w += (ptrdiff_t)outs * depth;
    const T* bias = s_.biased ? w : nullptr;
    const ptrdiff_t z_channel = (ptrdiff_t)side_ * side_ * n_;
    product(outs, depth, forward_.lines, forward_.length, Packed<T>{scratch_.packed.p},
            forward_.offsets.data(), begin(), bias, z_.p, z_channel);
    if (s_.biased) w += outs;
    with_function(s_.active, net.activation, [&](auto a) {
      for (int o = 0; o < outs; o++) {
        const T* z = z_.p + o * z_channel;
        norms_[o] = s_.normed ? norm_of(z, z_channel, w[o], w[outs + o], net.stats[place_.stat] + o,
                                        net.stats[place_.stat + 1] + o, training)
                              : Norm<T>{};
        activate<T, decltype(a)>(z, side_, n_, s_.pooled, norms_[o],
                                 out_.inner() + o * out_.channel(), out_.line());
      }
    });
  }

  void backward(Net<T>& net) override {
    const int area = s_.kernel * s_.kernel, depth = in_.channels * area, outs = out_.channels;
    T* g = net.gradient + place_.at;
    T* bias = g + (ptrdiff_t)outs * depth;
    T* shift = bias + (s_.biased ? outs : 0);
    const ptrdiff_t z_channel = (ptrdiff_t)side_ * side_ * n_;
    T* dz = dz_.p + halo_ * (d_line() + n_);
    with_function(s_.active, net.activation, [&](auto a) {
      for (int o = 0; o < outs; o++) {
        const auto found = back<T, decltype(a)>(
            z_.p + o * z_channel, side_, n_, s_.pooled, s_.normed, norms_[o],
            out_.inner() + o * out_.channel(), out_.line(), out_.d + o * out_.plain(),
            dz + o * d_channel(), d_line());
        if (s_.normed) shift[o] = found.shift, shift[outs + o] = found.scale;
        if (s_.biased) bias[o] = found.bias;
      }
    });
    correlate(Correlation<T>{in_.channels, outs, s_.kernel, s_.padding, in_.side, side_, n_,
                             s_.stride, begin(), dz, in_.channel(), in_.line(), d_channel(), d_line(),
                             (Vec<T>*)scratch_.sums.p},
              g);
    if (!in_.wanted) return;
    const T* w = net.weights + place_.at;
    pack(in_.channels, area, outs, scratch_.packed.p, [&](int i, int tap, int o) {
      return w[(ptrdiff_t)o * depth + (ptrdiff_t)i * area + (area - 1 - tap)];
    });
    product<T>(in_.channels, outs * area, backward_.lines, backward_.length, Packed<T>{scratch_.packed.p},
               backward_.offsets.data(), dz_.p, nullptr, in_.begin(), in_.plain());
    in_.end();
  }

 private:
  ptrdiff_t d_line() const { return (ptrdiff_t)(side_ + 2 * halo_) * n_; }
  ptrdiff_t d_channel() const { return d_line() * (side_ + 2 * halo_); }
  // The first value of the input that a kernel reaches; the input may have a wider halo.
  const T* begin() const {
    return in_.x.p + (in_.halo - s_.padding) * (in_.line() + in_.n);
  }

  ConvShape s_;
  Value<T>&in_, &out_;
  Place place_;
  Scratch<T>& scratch_;
  int n_, side_, halo_;  // side: before pooling; halo: zeros around the output's gradient
  Array<T> z_, dz_;
  Map forward_, backward_;
  std::vector<Norm<T>> norms_;
};

}  // namespace ws
